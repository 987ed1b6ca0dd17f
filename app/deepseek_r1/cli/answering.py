"""The parts that the answering commands share: documents, Ctrl-C, progress, the summary."""

import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from getpass import getpass
from pathlib import Path
from types import FrameType

from deepseek_r1.checks.installation import process_lock_finding
from deepseek_r1.cli import console
from deepseek_r1.cli.command import INTERRUPTED
from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.events import (
    AnswerSource,
    Event,
    FinishReason,
    GenerationStats,
    LoadProgress,
    ModelFacts,
    ModelLoaded,
    PrefillProgress,
    PromptCacheState,
    TemplateSource,
    TemplateUsed,
    ThinkingEnd,
)
from deepseek_r1.core.i18n import join_list, tr, trn
from deepseek_r1.core.messages import Message, PartialAnswer, RawPrompt
from deepseek_r1.core.process_lock import LANDLOCK, SECCOMP, missing_parts
from deepseek_r1.core.settings import DraftMode, LoadSettings, SamplingSettings, most_prompt_tokens
from deepseek_r1.documents.attached_documents import add_documents
from deepseek_r1.documents.document import Source
from deepseek_r1.documents.document_prompt import plan
from deepseek_r1.documents.errors import DocumentRefused, PdfLocked
from deepseek_r1.documents.index import DocumentIndex
from deepseek_r1.documents.reader_protocol import PASSWORD_CHARACTERS
from deepseek_r1.documents.reading_memory import ReadingMemory
from deepseek_r1.documents.sources import SourcedAnswer
from deepseek_r1.host.client import EngineClient
from deepseek_r1.host.protocol import Handshake, Heartbeat, HostEvent
from deepseek_r1.memory.governor import shortage_text
from deepseek_r1.memory.graphics import graphics_text


def read_documents(
    paths: Iterable[Path], documents: DocumentIndex, memory: ReadingMemory | None = None
) -> None:
    """Read documents, beside those that are there; `memory` as in `read_document`.

    What is refused is said, and the others are read. Raises DocumentRefused where none is left.
    """
    refused: list[DocumentRefused] = []
    try:
        for path in paths:
            console.status(tr("Reading {name}…", name=path.name))
            try:
                add_documents(
                    documents,
                    path.expanduser(),
                    on_refused=refused.append,
                    password_for=_password_for,
                    memory=memory,
                )
            except DocumentRefused as error:  # a folder without documents, or with too many
                refused.append(error)
    finally:
        console.status("")
    if refused and not documents.added:
        raise refused[0]
    for each in refused:
        console.note(str(each))


def _password_for(locked: PdfLocked) -> str:
    """A PDF's password, asked at the terminal: an option's would be seen by other programs."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return ""
    console.status("")
    console.note(" ".join(locked.sentences()[:2]))
    asked = tr("Password of {name} (Enter leaves it out): ", name=str(locked.facts["name"]))
    with suppress(EOFError):
        return getpass(console.without_controls(asked))[:PASSWORD_CHARACTERS]
    return ""


def answer_events(
    engine: EngineClient,
    documents: DocumentIndex,
    messages: Sequence[Message] | RawPrompt,
    loaded: ModelLoaded | None,
    sampling: SamplingSettings,
    *,
    continues: PartialAnswer | None = None,
    json_schema: str = "",
) -> Iterator[Event]:
    """Return the events of an answer about the documents, the last one with its sources."""
    sources, question = tuple[Source, ...](), ""
    if documents.added and loaded is not None and not isinstance(messages, RawPrompt):
        most = most_prompt_tokens(loaded.facts.context_length, sampling.max_tokens)
        compares = bool(loaded.facts.embedding_model)
        planned = plan(documents, list(documents.added), messages, most, engine, compares=compares)
        messages, sources, question = planned.messages, planned.sources, planned.asked
        if not planned.whole:
            n = sum(each.passage.sha256 not in planned.documents for each in sources)
            console.aside(tr("The documents are too long, so {n} passages of them are sent.", n=n))
    events = engine.generate(messages, sampling, continues=continues, json_schema=json_schema)
    return map(SourcedAnswer(sources, question, continues), events)


def show_sources(sources: Sequence[AnswerSource], documents: DocumentIndex) -> None:
    """Print the sources of an answer, if there are documents."""
    for each in sources:
        sentence = " ".join(each.sentence.split())
        console.answer(f"[{each.n}] {join_list([each.document, each.place])}: {sentence}\n")
    if documents.added and not sources:
        console.aside(tr("No passage of the documents carries this answer."))


@contextmanager
def cancelling(engine: EngineClient) -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C cancel the load or the answer; a second one ends the program at once.

    Yields a function that returns whether Ctrl-C was pressed, for the time between load and answer.
    """
    pressed = False

    def on_interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        engine.cancel()

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def interrupting(engine: EngineClient) -> Iterator[Callable[[], bool]]:
    """Like `cancelling`, and a cancelled load ends the program."""
    with cancelling(engine) as pressed:
        try:
            yield pressed
        except R1Error:
            if pressed():  # a cancelled load raises, which is expected
                raise SystemExit(INTERRUPTED) from None
            raise


class ShortageNotifier:
    """Notes when the computer runs short of memory, when that is over, and a missing lock."""

    def __init__(self) -> None:
        self._short = self._started = False

    def __call__(self, notice: HostEvent) -> None:
        if isinstance(notice, Handshake) and not self._started:
            self._started = True
            note_missing_lock()
        memory = notice.memory if isinstance(notice, Heartbeat) else None
        if memory is not None and memory.short != self._short:
            self._short = memory.short
            console.note(shortage_text(memory))


def note_missing_lock() -> None:
    """Tell where this Linux, an old one or a container's, cannot lock the engine's process."""
    if sys.platform == "linux" and {SECCOMP, LANDLOCK} & set(missing := missing_parts()):
        finding = process_lock_finding(missing)
        console.note(f"{finding.title}: {finding.value}. {finding.todo}")


def show_progress(event: Event) -> None:
    """Show the progress of a load, and why prompts are not saved where they cannot be."""
    if isinstance(event, LoadProgress):
        console.status(tr("Loading the model: {percent} %", percent=round(100 * event.fraction)))
    elif isinstance(event, PromptCacheState) and event.problem:
        console.note(event.problem)


def show_reading(event: PrefillProgress) -> None:
    """Show how much of the prompt is read, until all of it is."""
    left = event.done < event.total
    text = tr("Reading: {done} of {total} tokens", done=event.done, total=event.total)
    console.status(text if left else "")


def note_template(used: TemplateUsed) -> None:
    """Tell where the chat template is from, if it is not from the model's file."""
    if used.source is TemplateSource.FAMILY:
        console.note(
            tr(
                "This model has no chat template. The one of its family is used: {name}.",
                name=used.name,
            )
        )
    elif used.source is TemplateSource.COMPLETION:
        console.note(
            tr(
                "This model has no chat template, so it only continues your text. If it "
                "was made for chatting, choose one with --chat-template."
            )
        )


def note_facts(settings: LoadSettings, facts: ModelFacts) -> None:
    """Tell which graphics processor reads, and where drafts were chosen for a model without."""
    if text := graphics_text(facts.graphics):
        console.note(text)
    if "drafts" in facts.ignored and settings.drafts not in (DraftMode.OFF, DraftMode.AUTO):
        console.note(
            tr("Drafts do not work with this model: tokens cannot be taken back from its memory.")
        )


def thinking_end_text(end: ThinkingEnd) -> str:
    """Returns the reason why the thinking was ended; empty where the model ended it."""
    return {
        ThinkingEnd.MODEL: "",
        ThinkingEnd.BUDGET: tr("its budget was used up"),
        ThinkingEnd.REQUEST: tr("ended by you"),
        ThinkingEnd.REPETITION: tr("it repeated itself"),
    }[end]


def finish_text(stats: GenerationStats) -> str:
    """Returns the reason why an answer ended, as text."""
    if stats.inside_thinking and stats.finish_reason is FinishReason.STOP:
        return tr("the model ended inside its thinking")
    reason = {
        FinishReason.STOP: tr("complete"),
        FinishReason.LENGTH: tr("the longest answer was reached"),
        FinishReason.CONTEXT: tr("the context is full"),
        FinishReason.REPETITION: tr("the text repeated itself"),
        FinishReason.CANCELLED: tr("stopped"),
        FinishReason.ERROR: tr("the engine failed"),
    }[stats.finish_reason]
    return tr("{reason}, inside the thinking", reason=reason) if stats.inside_thinking else reason


def summary(stats: GenerationStats) -> str:
    """Returns an answer's tokens, speed, finish reason, drafts and cached tokens as one line."""
    parts = [
        trn(
            "{n} token, {rate} tokens/s, first after {ttft} s ({reason})",
            "{n} tokens, {rate} tokens/s, first after {ttft} s ({reason})",
            stats.completion_tokens,
            rate=f"{stats.decode_tok_s:.1f}",
            ttft=f"{stats.ttft_s:.2f}",
            reason=finish_text(stats),
        )
    ]
    if stats.accepted:
        parts.append(tr("{each} tokens a pass", each=f"{stats.tokens_per_pass:.1f}"))
    if stats.draft_released:
        parts.append(tr("the draft model was unloaded: the model is faster with its memory"))
    if stats.restored_tokens:
        parts.append(
            tr(
                "{restored} of {prompt} prompt tokens from disk",
                restored=f"{stats.restored_tokens:,}",
                prompt=f"{stats.prompt_tokens:,}",
            )
        )
    return ", ".join(parts)
