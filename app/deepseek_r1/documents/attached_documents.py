"""Documents outside of the window, read into an index."""

import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from deepseek_r1.core.heap import trim_heap
from deepseek_r1.documents.errors import DocumentRefused, PdfLocked
from deepseek_r1.documents.index import DocumentIndex
from deepseek_r1.documents.reading import document_files, file_sha256, read_document
from deepseek_r1.documents.reading_memory import MEMORY_MIB, ReadingMemory


def add_documents(
    index: DocumentIndex,
    path: str | Path,
    *,
    on_refused: Callable[[DocumentRefused], object] | None = None,
    password_for: Callable[[PdfLocked], str] = lambda _refused: "",
    stop: threading.Event | None = None,
    memory: ReadingMemory | None = None,
) -> list[str]:
    """Read a document, or all of a folder, into an index; returns their SHA-256.

    What was read into it before is not read again. `on_refused` gets what cannot be read, and the
    others are; `password_for` what is locked, and returns its password, or "". `memory` as in
    `read_document`. Raises DocumentRefused without `on_refused`, soon after `stop` was set too, and
    DocumentIndexFailed.
    """
    added = []
    left = [(each, "") for each in reversed(document_files(Path(path)))]
    while left:
        file, password = left.pop()
        try:
            added.append(_add(index, file, "", stop, memory, password=password))
        except DocumentRefused as refused:
            if isinstance(refused, PdfLocked) and (password := password_for(refused)):
                left.append((file, password))
            elif on_refused is None:
                raise
            else:
                on_refused(refused)
    return added


def add_data(
    index: DocumentIndex,
    data: bytes,
    name: str,
    stop: threading.Event | None = None,
    memory: ReadingMemory | None = None,
    *,
    most_mib: int = MEMORY_MIB,
) -> str:
    """Read a document that is no file; `memory` and `most_mib` as in `read_document`.

    Raises DocumentRefused, soon after `stop` was set too, and DocumentIndexFailed.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder, "document")
        path.write_bytes(data)
        return _add(index, path, name, stop, memory, most_mib=most_mib)


def _add(
    index: DocumentIndex,
    path: Path,
    name: str,
    stop: threading.Event | None,
    memory: ReadingMemory | None,
    *,
    most_mib: int = MEMORY_MIB,
    password: str = "",
) -> str:
    if (sha256 := file_sha256(path, name)) in index.added:
        return sha256
    try:
        document = read_document(
            path, name=name, password=password, stop=stop, memory=memory, most_mib=most_mib
        )
        index.add(document)
    finally:
        trim_heap()
    return document.sha256  # of a file that is being written to, another one by now
