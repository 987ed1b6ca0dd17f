"""Documents that clients send: in a message, or uploaded once and named by their id.

A document is read when it arrives; its text is kept until the client deletes it or the server ends,
in a temporary file without a name. Its owner alone sees it: who sends the same key from the same
address.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from email.message import Message as Headers
from typing import Any, Final
from urllib.parse import unquote

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.events import AnswerDelta, Event
from deepseek_r1.core.messages import Message
from deepseek_r1.documents.attached_documents import AttachedDocuments, finished_with
from deepseek_r1.documents.document import Source
from deepseek_r1.documents.document_prompt import DocumentPrompt
from deepseek_r1.server.api_errors import ApiError, not_supported
from deepseek_r1.server.async_engine import AsyncEngine

_MOST_FILES: Final = 200  # uploaded, of all clients
_MOST_UNNAMED: Final = 32  # sent in messages: the last ones need not be read again
_MOST_IN_MESSAGES: Final = 16  # of one request
_FORM_PARTS: Final = 16
_FIELD: Final = re.compile(rb'[; ](name|filename)="([^"\r\n]*)"')


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A document that was uploaded."""

    id: str
    owner: str
    sha256: str
    name: str
    size: int
    purpose: str
    created: int

    @property
    def body(self) -> dict[str, Any]:
        """The file in OpenAI's shape."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": self.size,
            "created_at": self.created,
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
        }


class FileUploads:
    """The documents of all clients. For one event loop; one document is read at a time."""

    def __init__(self, engine: AsyncEngine, max_file_bytes: int) -> None:
        """With `max_file_bytes` 0 no documents are taken."""
        self._engine, self._max_bytes = engine, max_file_bytes
        self._documents: AttachedDocuments | None = None
        self._reading = asyncio.Lock()
        self._files: dict[str, UploadedFile] = {}
        self._unnamed: dict[str, None] = {}  # the SHA-256 of documents in messages, oldest first

    def of(self, owner: str) -> list[UploadedFile]:
        """Return the files of an owner, the newest first."""
        return [each for each in reversed(self._files.values()) if each.owner == owner]

    def get(self, owner: str, file_id: str) -> UploadedFile:
        """Return a file. Raises ApiError where the owner has none of this id."""
        found = self._files.get(file_id)
        if found is None or found.owner != owner:
            raise ApiError(404, f"There is no file `{file_id[:64]}`.", param="file_id")
        return found

    async def add(self, owner: str, content_type: str, body: bytes) -> UploadedFile:
        """Read an uploaded form with `file` and `purpose`. Raises ApiError."""
        form = form_parts(content_type, body)
        if "file" not in form:
            raise ApiError(400, "The form has no `file`.", param="file")
        if len(self._files) >= _MOST_FILES:
            raise ApiError(400, f"There are {_MOST_FILES} files: delete some.", param="file")
        name, data = form["file"]
        purpose = form.get("purpose", ("", b"user_data"))[1].decode("utf-8", "replace")[:64]
        sha256 = await self._read(data, name)
        file_id = f"file-{secrets.token_hex(12)}"
        made = UploadedFile(file_id, owner, sha256, name, len(data), purpose, int(time.time()))
        self._files[file_id] = made
        return made

    async def delete(self, owner: str, file_id: str) -> None:
        """Delete a file, and its text unless another one has the same. Raises ApiError."""
        file = self.get(owner, file_id)
        del self._files[file_id]
        await self._forget(file.sha256)

    async def take(self, owner: str, messages: list[dict[str, Any]]) -> list[str]:
        """Take the files out of a conversation; returns the SHA-256 of each. Raises ApiError."""
        found: list[str] = []
        for message in messages:
            content = message.get("content")
            if not isinstance(content, list):
                continue
            files = [each for each in content if isinstance(each, dict) and "file" in each]
            if len(found) + len(files) > _MOST_IN_MESSAGES:
                raise ApiError(
                    400, f"At most {_MOST_IN_MESSAGES} files are read.", param="messages"
                )
            found += [await self._take_one(owner, each["file"]) for each in files]
            message["content"] = [each for each in content if each not in files]
        return list(dict.fromkeys(found))

    async def _take_one(self, owner: str, given: Any) -> str:
        part = given if isinstance(given, dict) else {}
        if isinstance(file_id := part.get("file_id"), str):
            return self.get(owner, file_id).sha256
        _, _, encoded = str(part.get("file_data", "")).rpartition(",")
        try:
            data = base64.b64decode(encoded, validate=True)
        except binascii.Error as error:
            raise ApiError(400, "`file_data` is not base64.", param="messages") from error
        sha256 = await self._read(data, str(part.get("filename") or "document"))
        self._unnamed.pop(sha256, None)
        self._unnamed[sha256] = None
        if len(self._unnamed) > _MOST_UNNAMED:
            oldest = next(iter(self._unnamed))
            del self._unnamed[oldest]
            await self._forget(oldest)
        return sha256

    async def _read(self, data: bytes, name: str) -> str:
        if len(data) > self._max_bytes:
            if not self._max_bytes:
                raise not_supported("file", "send its text in the message")
            raise ApiError(413, f"A file may have {self._max_bytes:,} bytes.", param="file")
        async with self._reading:
            try:
                self._documents = self._documents or AttachedDocuments()
                return await asyncio.to_thread(self._documents.add_data, data, name)
            except R1Error as error:
                raise ApiError(400, str(error), param="file", code=type(error).__name__) from error

    async def _forget(self, sha256: str) -> None:
        kept = {each.sha256 for each in self._files.values()} | set(self._unnamed)
        if sha256 not in kept and self._documents is not None:
            await asyncio.to_thread(self._documents.remove, sha256)

    async def prompt(
        self, sha256s: list[str], messages: tuple[Message, ...], max_tokens: int
    ) -> DocumentPrompt:
        """Plan the prompt of a conversation about these documents. Raises the engine's R1Error."""
        assert self._documents is not None  # noqa: S101 - they were read
        loop = asyncio.get_running_loop()

        def count_tokens(text: str) -> int:
            counting = self._engine.tokenize(text, special=False)
            return len(asyncio.run_coroutine_threadsafe(counting, loop).result())

        context = self._engine.require_model().facts.context_length
        plan = self._documents.prompt
        return await asyncio.to_thread(
            plan, messages, context, max_tokens, count_tokens, sha256s=sha256s
        )


async def events_with_sources(
    events: AsyncGenerator[Event], sources: tuple[Source, ...]
) -> AsyncGenerator[Event]:
    """Yield an answer's events; its last one gets the sources."""
    text = ""
    async with aclosing(events) as answer:
        async for event in answer:
            text += event.text if isinstance(event, AnswerDelta) else ""
            yield finished_with(event, text, sources)


def form_parts(content_type: str, body: bytes) -> dict[str, tuple[str, bytes]]:
    """Return the file name and the data of each field of a form (RFC 7578). Raises ApiError."""
    headers = Headers()
    headers["content-type"] = content_type
    boundary = headers.get_param("boundary")
    if headers.get_content_type() != "multipart/form-data" or not isinstance(boundary, str):
        raise ApiError(400, "The body is not multipart/form-data.", param="file")
    found = {}
    for part in body.split(f"--{boundary}".encode("latin-1", "replace"), _FORM_PARTS)[1:-1]:
        head, _, data = part.partition(b"\r\n\r\n")
        fields = {key: value.decode("utf-8", "replace") for key, value in _FIELD.findall(head)}
        if name := fields.get(b"name"):
            file_name = unquote(fields.get(b"filename", ""))
            found[name] = (file_name or "document", data.removesuffix(b"\r\n"))
    return found
