"""Intents: each is something that a person asks for in the chat.

A widget says it once, and `RequestHandler` carries it out. Below are the ways to go on that are
offered where the context is full, as they are shown.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import dataclass_transform

from PySide6.QtGui import QImage

from deepseek_r1.documents.document import Passage
from r1desk.store import Attachment


class ContextWay(StrEnum):
    """A way to go on."""

    FITS = "fits"  # the context is longer by now
    LONGER = "longer"  # a longer context
    LEAVE_OUT = "leave_out"  # the model reads from a later message on
    SUMMARY = "summary"  # a new branch that begins with a summary
    ANYWAY = "anyway"  # less than the reserve is left for the answer


@dataclass_transform(frozen_default=True)
class Intent:
    """The base of all; each is a frozen dataclass."""

    def __init_subclass__(cls) -> None:
        dataclass(frozen=True)(cls)


Request = Callable[[Intent], None]  # given to each widget that asks for something


class Send(Intent):
    text: str


class SaveDraft(Intent):
    text: str


class StopAnswer(Intent):
    """End the answer being written; what is there stays."""


class EditLastQuestion(Intent):
    """Open the editor of the last question."""


class ChooseFiles(Intent):
    """Ask which files to attach to the message being written."""


class AttachFiles(Intent):
    paths: tuple[str, ...]


class AttachText(Intent):
    """Make a text of the message being written a document of it."""

    text: str


class ReadPage(Intent):
    address: str


class SavePrompt(Intent):
    text: str


class AttachPicture(Intent):
    """Attach the text of a picture that was copied or dragged without a file."""

    picture: QImage


class EditQuestion(Intent):
    message: int
    text: str


class EditAnswer(Intent):
    """Keep another text of an answer as one more version."""

    message: int
    text: str


class Regenerate(Intent):
    """Write another answer to the same question."""

    message: int


class ContinueAnswer(Intent):
    """Let a cut answer go on; `closes_thinking` ends its thinking first."""

    message: int
    closes_thinking: bool = False


class WithdrawQuestion(Intent):
    """Take back a question whose answer, this message, waits for its turn."""

    message: int


class AnswerNow(Intent):
    """End the thinking of the answer being written."""


class SelectVersion(Intent):
    """Show another version of a message: `delta` is -1 for the one before, 1 for the next."""

    message: int
    delta: int


class TakeWay(Intent):
    way: ContextWay


class MoveMemory(Intent):
    """Move the line where memory begins: -1 is a turn earlier, 1 a turn later, 0 removes it."""

    turns: int


class Quote(Intent):
    text: str


class BranchOff(Intent):
    message: int


class DeleteMessage(Intent):
    message: int


class OpenLink(Intent):
    """Open an http(s) address, after a question. Models write addresses, too."""

    address: str


class OpenAttachment(Intent):
    """Show what is in an attached file, or a passage in its document.

    `sentence` is the part of the passage that is marked.
    """

    shown: Attachment | Passage
    sentence: str = ""


class ChangePassages(Intent):
    """Ask the question of this answer again, with other passages of the documents."""

    message: int


class AskOthers(Intent):
    """Ask several models the question that a message answers; 0 is the message being written."""

    message: int = 0


class LoadModel(Intent):
    """Load the model that answered in this conversation before."""

    path: str


class ReturnToComposer(Intent):
    """Give the keyboard back to the composer: an editor or the bar for finding text closed."""


@dataclass(frozen=True, slots=True)
class ContextOption:
    """One way: what it does and what it costs. `possible`: False where it cannot be taken."""

    way: ContextWay
    title: str
    price: str
    possible: bool = True


@dataclass(frozen=True, slots=True)
class ContextOptions:
    """All ways to go on below a message; none while they are being worked out."""

    message_id: int
    heading: str
    options: tuple[ContextOption, ...] = ()
