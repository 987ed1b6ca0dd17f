"""Paths as fields of messages and files: their bytes, whether they are text or not.

A `FilePath` is a text, a `JsonPath` a `Path`.
"""

import contextlib
import os
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer


def _path_to_json(given: str | Path) -> str:
    """Write a path whose bytes are not UTF-8 as their hex digits: JSON has no such texts."""
    path = str(given)
    try:
        path.encode()
    except UnicodeEncodeError:
        with contextlib.suppress(UnicodeEncodeError):  # no file has such a path: it is text
            return _PATH_BYTES + os.fsencode(path).hex()
    return path


def _path_from_json(path: object) -> object:
    if isinstance(path, str) and path.startswith(_PATH_BYTES):
        try:
            return os.fsdecode(bytes.fromhex(path.removeprefix(_PATH_BYTES)))
        except ValueError:  # a path that contains NUL: no file has it
            return path
    return path


_PATH_BYTES = "\0"  # no path contains it
_AsBytes = (PlainSerializer(_path_to_json, when_used="json"), BeforeValidator(_path_from_json))
FilePath = Annotated[str, *_AsBytes]
JsonPath = Annotated[Path, *_AsBytes]
