"""Frames messages: four bytes of length, big-endian, then that many bytes of UTF-8 JSON.

Neither end trusts the other: a length is checked before the body is read, and anything that is not
a known message is `ProtocolBroken`. Details name the place of a fault, never the content.
"""

import json
import os
import struct
import sys
from collections.abc import Callable
from typing import Annotated, Any, BinaryIO, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from deepseek_r1.core.errors import ProtocolBroken
from deepseek_r1.core.i18n import tr

TO_CHILD_CAP = 16 * 1024 * 1024
FROM_CHILD_CAP = 1024 * 1024

_LENGTH = struct.Struct(">I")
FrameModel = TypeVar("FrameModel")


class PipeMessage(BaseModel):
    """Base of the messages between two of our processes: frozen, and without unknown fields."""

    model_config = ConfigDict(frozen=True, defer_build=True, extra="forbid")


def one_of(messages: Any) -> TypeAdapter[Any]:
    """Return what reads any message of a union; their field `kind` distinguishes them."""
    distinguished = Annotated[messages, Field(discriminator="kind")]
    return TypeAdapter(distinguished, config=ConfigDict(defer_build=True))


class FrameTooLong(ValueError):
    """Our message is longer than the other end accepts."""


class StreamCutOff(EOFError):
    """The stream ended inside a frame: its writer died while writing."""


def pack(message: BaseModel, cap: int) -> bytes:
    """`message` as a frame. Raises FrameTooLong beyond `cap` bytes.

    Lone surrogates are no text and cannot be UTF-8: each becomes U+FFFD.
    """
    try:
        body = message.model_dump_json().encode()
    except PydanticSerializationError:
        text = json.dumps(message.model_dump(mode="json"), ensure_ascii=False)
        body = without_surrogates(text).encode()
    if len(body) > cap:
        raise FrameTooLong(f"{len(body)} bytes, {cap} allowed")
    return _LENGTH.pack(len(body)) + body


def read(source: BinaryIO, cap: int | Callable[[], int]) -> bytes | None:
    """The next frame's body, or None where the stream ends between two frames.

    Raises ProtocolBroken for a frame that is empty or longer than `cap`, and StreamCutOff. A cap
    that may change is asked for when the frame begins.
    """
    head = _read_exactly(source, _LENGTH.size)
    if not head:
        return None
    if len(head) < _LENGTH.size:
        raise StreamCutOff
    (size,) = _LENGTH.unpack(head)
    cap = cap() if callable(cap) else cap
    if not 0 < size <= cap:
        raise ProtocolBroken(
            detail=tr(
                "A frame of {size} bytes came, at most {cap} are allowed.", size=size, cap=cap
            )
        )
    body = _read_exactly(source, size)
    if len(body) < size:
        raise StreamCutOff
    return body


def write(sink: BinaryIO, frame: bytes) -> None:
    """Write a whole frame. Raises OSError."""
    rest = memoryview(frame)
    while rest:
        rest = rest[sink.write(rest) :]


def parse(body: bytes, adapter: TypeAdapter[FrameModel]) -> FrameModel:
    """The message in a frame's body. Raises ProtocolBroken for anything else."""
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(step) for step in first["loc"])[:120]
        raise ProtocolBroken(
            detail=tr(
                "A frame is not valid: {fault} at “{place}”.", fault=first["type"], place=place
            )
        ) from None


def without_surrogates(text: str) -> str:
    """`text` with each lone surrogate replaced by U+FFFD; pairs become the character they mean."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _read_exactly(source: BinaryIO, size: int) -> bytes:
    """`size` bytes, or fewer where the stream ends."""
    parts: list[bytes] = []
    missing = size
    while missing:
        part = source.read(missing)
        if not part:
            break
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def private_pipes() -> tuple[int, int]:
    """Private descriptors of standard input and output, which nothing else uses afterwards.

    So they carry frames alone, whatever a library prints.
    """
    source, sink = os.dup(0), os.dup(1)
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415 - Windows only

        msvcrt.setmode(source, os.O_BINARY)
        msvcrt.setmode(sink, os.O_BINARY)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return source, sink
