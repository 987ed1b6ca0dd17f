"""Imports an export, which a child process reads: the file may come from anywhere."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from deepseek_r1.core.child_call import ChildCall, ChildDied, ChildFailure, ChildProgress
from deepseek_r1.core.errors import ProtocolBroken
from deepseek_r1.core.file_path import FilePath
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.processes import ChildKind
from r1desk.store.archive import Piece
from r1desk.store.archive_import import ImportedConversations, RunInStore, import_conversations
from r1desk.store.errors import ArchiveUnreadable, ImportStopped
from r1desk.store.foreign_chats import Omitted
from r1desk.store.prompt_store import SavedPrompt

FRAME_BYTES: Final = 64 * 2**20  # one message, if need be; a slice is 64 KiB
MEMORY_BYTES: Final = 2**30


class ExportRequest(BaseModel):
    """Reads an export from its beginning."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    path: FilePath
    holds: Literal["conversations", "prompts"] = "conversations"


class ExportSlice(ChildProgress):
    """The next pieces. Only what begins has a digest, only messages have numbers."""

    kind: Literal["slice"] = "slice"
    pieces: tuple[Annotated[Piece, Field(union_mode="left_to_right")], ...]


class ExportRead(BaseModel):
    """An export has been read to its end."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: Literal["read"] = "read"
    left_out: dict[Omitted, int] = {}
    prompts: tuple[SavedPrompt, ...] = ()


_Reply = ExportSlice | ExportRead | ChildFailure
_replies: TypeAdapter[_Reply] = TypeAdapter(
    Annotated[_Reply, Field(discriminator="kind")], config=ConfigDict(defer_build=True)
)


def import_export(run: RunInStore, path: Path, stop: threading.Event) -> ImportedConversations:
    """Import a file, a folder or a zip, as `import_conversations` does, with the same errors.

    Raises ImportStopped soon after `stop` was set, and ArchiveNotRead.
    """

    def check_stop(_waited_s: float = 0.0) -> None:
        if stop.is_set():
            raise ImportStopped

    def read(give: Callable[[Sequence[Piece]], object]) -> Mapping[Omitted, int]:
        def take(some: ExportSlice) -> None:
            check_stop()
            give(some.pieces)

        request = ExportRequest(path=str(path))
        reply: ExportRead = child.ask(request, on_progress=take, on_wait=check_stop)
        return reply.left_out

    with _reading_process() as child:
        return import_conversations(run, read)


def import_prompts(path: Path) -> tuple[SavedPrompt, ...]:
    """The prompts of an exported library. Raises ArchiveNotRead and ArchiveUnreadable."""
    with _reading_process() as child:
        read: ExportRead = child.ask(ExportRequest(path=str(path), holds="prompts"))
        return read.prompts


@contextmanager
def _reading_process() -> Iterator[ChildCall]:
    """A process for one export. Raises ArchiveUnreadable where it breaks."""
    try:
        with ChildCall(
            ChildKind.EXPORTS,
            _replies,
            most_bytes=FRAME_BYTES,
            memory_bytes=MEMORY_BYTES,
            most_waiting=2,
        ) as child:
            yield child
    except ChildDied as died:
        detail = tr("the process that reads it ended ({how})", how=died.how)
        raise ArchiveUnreadable(detail=detail) from died
    except (OSError, ProtocolBroken) as error:
        raise ArchiveUnreadable(detail=str(error)) from error
