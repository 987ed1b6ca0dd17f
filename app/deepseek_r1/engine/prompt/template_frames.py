"""The frames between the template renderer and its owner, for both ends.

A frame is four bytes of length, big-endian, then JSON. Only the standard library is imported: the
renderer is part of the memory budget, and `core.frames` needs pydantic.
"""

import json
import struct
from enum import StrEnum
from typing import Any

LENGTH = struct.Struct(">I")
OUT_OF_MEMORY_EXIT = 12  # ENOMEM: the renderer's exit code where a request needs too much memory


class RenderOutcome(StrEnum):
    """The kinds of result of one rendering."""

    TEXT = "text"
    REFUSED = "refused"  # the template called `raise_exception`
    FAILED = "failed"


def encoded(value: Any) -> bytes:
    """`value` as JSON. Texts may hold lone surrogates, which JSON's escapes carry."""
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(value).encode()
