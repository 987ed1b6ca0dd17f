"""Intents: each is something that a person asks for in the chat.

A widget says it once, and `RequestHandler` carries it out. Below are the ways to go on that are
offered where the context is full, as they are shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from deepseek_r1.documents.document import Passage
from r1desk.store import Attachment


class ContextWay(StrEnum):
    """A way to go on."""

    FITS = "fits"  # the context is longer by now
    LONGER = "longer"  # a longer context
    LEAVE_OUT = "leave_out"  # the model reads from a later message on
    SUMMARY = "summary"  # a new branch that begins with a summary
    ANYWAY = "anyway"  # less than the reserve is left for the answer


class Intent:
    """The base of all; each is a frozen dataclass."""

    __slots__ = ()


Request = Callable[[Intent], None]  # given to each widget that asks for something


@dataclass(frozen=True, slots=True)
class Send(Intent):
    """Send what is in the composer, with its files."""

    text: str


@dataclass(frozen=True, slots=True)
class SaveDraft(Intent):
    """Keep what is typed but not sent."""

    text: str


@dataclass(frozen=True, slots=True)
class StopAnswer(Intent):
    """End the answer being written; what is there stays."""


@dataclass(frozen=True, slots=True)
class EditLastQuestion(Intent):
    """Open the editor of the last question."""


@dataclass(frozen=True, slots=True)
class ChooseFiles(Intent):
    """Ask which files to attach to the message being written."""


@dataclass(frozen=True, slots=True)
class AttachFiles(Intent):
    """Attach these files to the message being written."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SavePrompt(Intent):
    """Keep a text as a prompt of the library."""

    text: str


@dataclass(frozen=True, slots=True)
class AttachPicture(Intent):
    """Attach a picture that was copied or dragged without a file, which no model here can see."""


@dataclass(frozen=True, slots=True)
class SendExample(Intent):
    """Send a question of the empty conversation."""

    text: str


@dataclass(frozen=True, slots=True)
class EditQuestion(Intent):
    """Send a question again with another text, as a new branch."""

    message: int
    text: str


@dataclass(frozen=True, slots=True)
class EditAnswer(Intent):
    """Keep another text of an answer as one more version."""

    message: int
    text: str


@dataclass(frozen=True, slots=True)
class Regenerate(Intent):
    """Write another answer to the same question."""

    message: int


@dataclass(frozen=True, slots=True)
class ContinueAnswer(Intent):
    """Let a cut answer go on; `closes_thinking` ends its thinking first."""

    message: int
    closes_thinking: bool = False


@dataclass(frozen=True, slots=True)
class WithdrawQuestion(Intent):
    """Take back a question whose answer, this message, waits for its turn."""

    message: int


@dataclass(frozen=True, slots=True)
class AnswerNow(Intent):
    """End the thinking of the answer being written."""


@dataclass(frozen=True, slots=True)
class SelectVersion(Intent):
    """Show another version of a message: `delta` is -1 for the one before, 1 for the next."""

    message: int
    delta: int


@dataclass(frozen=True, slots=True)
class TakeWay(Intent):
    """Go on in this way where the context is full."""

    way: ContextWay


@dataclass(frozen=True, slots=True)
class MoveMemory(Intent):
    """Move the line where memory begins: -1 is a turn earlier, 1 a turn later, 0 removes it."""

    turns: int


@dataclass(frozen=True, slots=True)
class Quote(Intent):
    """Quote a text in the message being written."""

    text: str


@dataclass(frozen=True, slots=True)
class BranchOff(Intent):
    """Begin a new conversation with all messages down to this one."""

    message: int


@dataclass(frozen=True, slots=True)
class DeleteMessage(Intent):
    """Delete a message, or this version of it, and all below it."""

    message: int


@dataclass(frozen=True, slots=True)
class OpenLink(Intent):
    """Open an http(s) address, after a question. Models write addresses, too."""

    address: str


@dataclass(frozen=True, slots=True)
class OpenAttachment(Intent):
    """Show the text of an attached file, or a passage in its document."""

    shown: Attachment | Passage


@dataclass(frozen=True, slots=True)
class AskOthers(Intent):
    """Ask several models the question that a message answers; 0 is the message being written."""

    message: int = 0


@dataclass(frozen=True, slots=True)
class LoadModel(Intent):
    """Load the model that answered in this conversation before."""

    path: str


@dataclass(frozen=True, slots=True)
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
