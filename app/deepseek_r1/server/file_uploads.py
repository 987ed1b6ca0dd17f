"""Documents that clients send: in a message, or uploaded once and named by their id.

A document is read when it arrives; its text is kept until the client deletes it, its time is over
or the server ends, in a temporary file without a name. Its owner alone sees it: the same address.
"""

import asyncio
import base64
import hashlib
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import Message as Headers
from functools import partial
from typing import Any, Final
from urllib.parse import unquote

from fastapi import APIRouter, Request

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.messages import Message
from deepseek_r1.core.settings import most_prompt_tokens
from deepseek_r1.documents.attached_documents import add_data
from deepseek_r1.documents.document_prompt import DocumentPrompt, plan
from deepseek_r1.documents.errors import ReadingStopped
from deepseek_r1.documents.index import DocumentIndex
from deepseek_r1.documents.reading import readers
from deepseek_r1.documents.reading_memory import ReadingMemory
from deepseek_r1.server.admission import MOST_READERS, ReaderTurns, client_of
from deepseek_r1.server.answer_stream import cancel_on_disconnect
from deepseek_r1.server.answers import AnswerService
from deepseek_r1.server.api_responses import ApiError, not_supported
from deepseek_r1.server.async_engine import AsyncEngine

FILES_PATH: Final = "/v1/files"
_MOST_FILES: Final = 200  # uploaded, of all clients
_MOST_OF_CLIENT: Final = 20
_MOST_UNNAMED: Final = 32  # sent in messages: the last ones need not be read again
_MOST_IN_MESSAGES: Final = 16  # of one request
_FORM_PARTS: Final = 16
_HEAD_BYTES: Final = 4096  # of a part
_BOUNDARY_CHARACTERS: Final = 70  # RFC 2046
_KEPT_S: Final = 24 * 3600  # an upload that says no other time
_KEPT_BETWEEN_S: Final = (3600, 30 * 24 * 3600)  # as in OpenAI's API
_FIELD: Final = re.compile(rb'[; ](name|filename)="([^"\r\n]*)"')


@dataclass(frozen=True, slots=True)
class _UploadedFile:
    owner: str
    sha256: str
    body: dict[str, Any]  # in OpenAI's shape


class FileUploads:
    """The documents of all clients. For one event loop."""

    def __init__(self, service: AnswerService) -> None:
        self._service, self._max_bytes = service, service.options.max_file_bytes
        self._documents = DocumentIndex()
        self._memory = ReadingMemory(
            lambda: service.options.settings.memory_budget, self._reduce_weights
        )
        self._loop: asyncio.AbstractEventLoop  # set before a document is read
        self._turns = ReaderTurns(self._memory.left_mib)
        self._threads = ThreadPoolExecutor(MOST_READERS, "document")
        self._arriving: Counter[str] = Counter()  # the SHA-256 of documents that no client has yet
        self._removing = asyncio.Lock()
        self._files: dict[str, _UploadedFile] = {}  # by id
        self._unnamed: list[str] = []  # the SHA-256 of documents in messages, oldest first
        self.router = APIRouter()
        self.router.add_api_route(FILES_PATH, self.upload, methods=["POST"])
        self.router.add_api_route(FILES_PATH, self.files, methods=["GET"])
        for method, handler in (("GET", self.file), ("DELETE", self.delete)):
            self.router.add_api_route(f"{FILES_PATH}/{{file_id}}", handler, methods=[method])
        content = f"{FILES_PATH}/{{file_id}}/content"
        self.router.add_api_route(content, self.content, methods=["GET"])

    # ---- endpoints

    async def upload(self, request: Request) -> dict[str, Any]:
        """Read a document of a form with `file` and `purpose`."""
        if not self._service.options.keeps_files:
            raise _not_kept()
        form = form_parts(request.headers.get("content-type", ""), await request.body())
        if "file" not in form:
            raise ApiError(400, "The form has no `file`.", param="file")
        (name, data), owner = form["file"], client_of(request)
        seconds = form.get("expires_after[seconds]", ("", str(_KEPT_S).encode()))[1]
        least, most = _KEPT_BETWEEN_S
        if not re.fullmatch(rb"[0-9]{1,9}", seconds) or not least <= int(seconds) <= most:
            detail = f"`expires_after[seconds]` is between {least} and {most}."
            raise ApiError(400, detail, param="expires_after")
        await self._tidy()
        body: dict[str, Any] = {
            "id": f"file-{secrets.token_hex(12)}",
            "object": "file",
            "bytes": len(data),
            "filename": name,
            "purpose": form.get("purpose", ("", b"user_data"))[1].decode("utf-8", "replace")[:64],
            "status": "processed",
        }

        async def kept() -> dict[str, Any]:
            async with self._read(data, name, owner, is_upload=True) as sha256:
                now = int(time.time())
                body.update(created_at=now, expires_at=now + int(seconds))
                self._files[body["id"]] = _UploadedFile(owner, sha256, body)
                return body

        async with self._service.deadline():
            return await cancel_on_disconnect(request, kept())

    async def files(self, request: Request) -> dict[str, Any]:
        """The documents that the client uploaded, the newest first."""
        owner = client_of(request)
        await self._tidy()
        data = [each.body for each in reversed(self._files.values()) if each.owner == owner]
        return {"object": "list", "data": data, "has_more": False}

    async def file(self, request: Request, file_id: str) -> dict[str, Any]:
        """A document that the client uploaded."""
        return self._get(client_of(request), file_id).body

    async def content(self, request: Request, file_id: str) -> dict[str, Any]:
        """Refuse: what was read is for answers alone."""
        self._get(client_of(request), file_id)
        raise ApiError(400, "The contents of files are not given back.", param="file_id")

    async def delete(self, request: Request, file_id: str) -> dict[str, Any]:
        """Delete a document, and its text unless another one has the same."""
        self._get(client_of(request), file_id)
        del self._files[file_id]
        await self._tidy()
        return {"id": file_id, "object": "file", "deleted": True}

    def _get(self, owner: str, file_id: str) -> _UploadedFile:
        if not self._service.options.keeps_files:
            raise _not_kept()
        found = self._files.get(file_id)
        if found is None or found.owner != owner or found.body["expires_at"] <= time.time():
            raise ApiError(404, f"There is no file `{file_id[:64]}`.", param="file_id")
        return found

    # ---- conversations

    async def take(self, owner: str, messages: list[dict[str, Any]]) -> list[str]:
        """Take the files out of a conversation; returns the SHA-256 of each. Raises ApiError."""
        found: list[str] = []
        for message in messages:
            if isinstance(content := message.get("content"), list):
                files = [each for each in content if _is_file(each)]
                if len(found) + len(files) > _MOST_IN_MESSAGES:
                    most = f"At most {_MOST_IN_MESSAGES} files are read."
                    raise ApiError(400, most, param="messages")
                found += [await self._take_one(owner, _file_of(each)) for each in files]
                message["content"] = [each for each in content if each not in files]
        return list(dict.fromkeys(found))

    async def _take_one(self, owner: str, given: Any) -> str:
        part = given if isinstance(given, dict) else {}
        if isinstance(file_id := part.get("file_id"), str):
            return self._get(owner, file_id).sha256
        if not isinstance(file_data := part.get("file_data"), str):
            wanted = "`file` is an object with a `file_id` or `file_data`."
            raise ApiError(400, wanted, param="messages")
        try:
            data = base64.b64decode(file_data.rpartition(",")[2], validate=True)
        except ValueError as error:  # binascii.Error, or letters beyond ASCII
            raise ApiError(400, "`file_data` is not base64.", param="messages") from error
        async with self._read(data, str(part.get("filename") or "document"), owner) as sha256:
            self._unnamed = [*(each for each in self._unnamed if each != sha256), sha256]
        if len(self._unnamed) > _MOST_UNNAMED:
            await self._tidy()
        return sha256

    async def prompt(
        self, sha256s: Sequence[str], messages: Sequence[Message], max_tokens: int
    ) -> DocumentPrompt:
        """Plan the prompt of a conversation about these documents. Raises the engine's R1Error."""
        facts = self._service.engine.require_model().facts
        most = most_prompt_tokens(facts.context_length, max_tokens)
        model = _WaitingModel(self._service.engine, asyncio.get_running_loop())
        compares = bool(facts.embedding_model)

        def planned() -> DocumentPrompt:
            if not self._documents.added.keys() >= set(sha256s):  # deleted by another request
                raise ApiError(404, "A file of the messages was deleted.", param="messages")
            return plan(self._documents, sha256s, messages, most, model, compares=compares)

        return await asyncio.to_thread(planned)

    # ---- texts

    def _reduce_weights(self, mib: float) -> bool:
        """Let the weights have so much less: see `ReadingMemory`. For the threads that read."""
        return asyncio.run_coroutine_threadsafe(
            self._service.engine.reduce_weights(mib), self._loop
        ).result()

    @asynccontextmanager
    async def _read(
        self, data: bytes, name: str, owner: str, *, is_upload: bool = False
    ) -> AsyncIterator[str]:
        """Read a document; in the block nobody removes it, so that it can be kept."""
        if not self._max_bytes:
            raise not_supported("file", "send its text in the message")
        if len(data) > self._max_bytes:
            raise ApiError(413, f"A file may have {self._max_bytes:,} bytes.", param="file")
        sha256 = (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()
        async with self._removing:
            self._arriving[sha256] += 1
        try:
            async with self._turns.turn(owner) as mib:
                if is_upload:
                    self._require_place(owner)
                yield await self._add(data, name, owner, mib)
        finally:
            self._arriving -= Counter([sha256])

    def _require_place(self, owner: str) -> None:
        mine = sum(each.owner == owner for each in self._files.values())
        if mine >= _MOST_OF_CLIENT or len(self._files) >= _MOST_FILES:
            kept = f"{_MOST_OF_CLIENT} files of a client are kept, {_MOST_FILES} of all"
            raise ApiError(400, f"{kept}: delete one.", param="file", code="too_many_files")

    async def _add(self, data: bytes, name: str, owner: str, mib: int) -> str:
        """Read a document into the index, until its client leaves or its turn is over."""
        loop, stop = asyncio.get_running_loop(), threading.Event()
        self._loop = loop
        read = partial(add_data, self._documents, data, name, stop, self._memory, most_mib=mib)
        work = loop.run_in_executor(self._threads, read)
        began = loop.time()
        try:
            while not work.done():
                await asyncio.wait({work}, timeout=1.0)
                if self._turns.is_over(owner, loop.time() - began):
                    break
        finally:
            stop.set()
            await asyncio.wait({work})
            error = work.exception()
            await asyncio.to_thread(readers.prepare, self._memory.left_mib())
        if isinstance(error, ReadingStopped):
            late = "Reading it takes too long while other clients wait. Send it again later."
            raise ApiError(400, late, param="file", code="DocumentTooLarge")
        if isinstance(error, R1Error):
            raise ApiError(400, str(error), param="file", code=type(error).__name__) from error
        return work.result()

    async def _tidy(self) -> None:
        """Forget the files whose time is over or whose texts are lost, and texts without a file."""
        now, files, texts = time.time(), self._files.items(), self._documents.added
        self._files = {
            key: each
            for key, each in files
            if each.body["expires_at"] > now and each.sha256 in texts
        }
        del self._unnamed[:-_MOST_UNNAMED]

        def gone() -> set[str]:
            kept = {*self._unnamed, *(each.sha256 for each in self._files.values())}
            kept.update(self._arriving)
            return self._documents.added.keys() - kept

        if gone():
            async with self._removing:  # the same bytes may be arriving
                for each in gone():
                    await asyncio.to_thread(self._documents.remove, each)


def _is_file(part: Any) -> bool:
    """Whether a part of a message is a file, or a picture, whose text is recognised."""
    return isinstance(part, dict) and ("file" in part or "image_url" in part)


def _file_of(part: dict[str, Any]) -> Any:
    """The `file` of a part. Raises ApiError for a picture that is elsewhere."""
    if "file" in part:
        return part["file"]
    given = part["image_url"]
    url = given.get("url") if isinstance(given, dict) else given
    if not isinstance(url, str) or not url.startswith("data:"):
        wanted = "`image_url` is a `data:` URL: nothing is fetched from elsewhere."
        raise ApiError(400, wanted, param="messages")
    return {"file_data": url, "filename": "image"}


class _WaitingModel:
    """The server's model for a thread that plans."""

    def __init__(self, engine: AsyncEngine, loop: asyncio.AbstractEventLoop) -> None:
        self._engine, self._loop = engine, loop

    def count_tokens(self, text: str) -> int:
        counting = self._engine.tokenize(text, special=False)
        return len(asyncio.run_coroutine_threadsafe(counting, self._loop).result())

    def similarities(self, question: str, passages: tuple[str, ...]) -> Sequence[float]:
        comparing = self._engine.similarities(question, passages)
        return asyncio.run_coroutine_threadsafe(comparing, self._loop).result()


def _not_kept() -> ApiError:
    return not_supported("files", "several instances answer here: send it as `file_data`")


def form_parts(content_type: str, body: bytes) -> dict[str, tuple[str, bytes]]:
    """Return the file name and the data of each field of a form (RFC 7578). Raises ApiError."""
    headers = Headers()
    headers["content-type"] = content_type
    boundary = headers.get_param("boundary")
    is_form = headers.get_content_type() == "multipart/form-data" and isinstance(boundary, str)
    if not is_form or not 0 < len(str(boundary)) <= _BOUNDARY_CHARACTERS:
        raise ApiError(400, "The body is not multipart/form-data.", param="file")
    found = {}
    for part in body.split(f"--{boundary}".encode("latin-1", "replace"), _FORM_PARTS)[1:-1]:
        end = part.find(b"\r\n\r\n", 0, _HEAD_BYTES)
        if end < 0:
            raise ApiError(400, "A part of the form has no head, or a long one.", param="file")
        head, data = part[:end], part[end + 4 :]
        fields = {key: value.decode("utf-8", "replace") for key, value in _FIELD.findall(head)}
        if name := fields.get(b"name"):
            file_name = unquote(fields.get(b"filename", ""))[-255:] or "document"
            found[name] = (file_name, data.removesuffix(b"\r\n"))
    return found
