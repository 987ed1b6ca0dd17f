"""`deepseek-r1 chat`: a conversation in the terminal."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import typer

from deepseek_r1.cli import options as o
from deepseek_r1.cli import output
from deepseek_r1.cli.answering import ShortageTeller, cancelling, interrupting, show_progress
from deepseek_r1.cli.conversation import Answering, Conversation, save
from deepseek_r1.cli.generate import generate_report
from deepseek_r1.cli.lines import Lines
from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.events import Event, LoadProgress, ModelLoaded
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.paths import profile_dir
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.core.words import tr
from deepseek_r1.host.client import EngineClient

HISTORY_FILE = "chat_history"


@o.grouped
def chat(
    *,
    model: o.ModelPath = None,
    system: o.System = "",
    sampling: SamplingSettings,
    load: o.Load,
    as_json: o.Json = False,
) -> None:
    """Talk with a model. /help lists the commands; Ctrl-C stops an answer, Ctrl-D leaves."""
    if load.batch_size > 1:
        output.note(
            tr(
                "A chat has one prompt at a time: batch size {n} changes nothing.",
                n=load.batch_size,
            )
        )
    path = o.chosen_model(model).absolute()
    with (
        EngineClient(on_notice=ShortageTeller()) as engine,
        Lines(profile_dir() / HISTORY_FILE) as lines,
    ):
        session = _Session(engine, lines, load.settings, sampling, as_json=as_json)
        session.conversation.system = o.clean_text(system)
        with interrupting(engine):
            session.load(path)
        failure = session.run()
    if failure is not None and not lines.terminal:  # a script wants to know
        raise typer.Exit(failure.exit_code)


class _Session:
    """Takes messages and commands until the input ends."""

    def __init__(
        self,
        engine: EngineClient,
        lines: Lines,
        settings: LoadSettings,
        sampling: SamplingSettings,
        *,
        as_json: bool,
    ) -> None:
        self.conversation = Conversation()
        self._engine, self._lines = engine, lines
        self._settings, self._sampling, self._as_json = settings, sampling, as_json
        self._loaded: ModelLoaded | None = None
        self._failure: R1Error | None = None
        self._commands: dict[str, Callable[[str], None]] = {
            "/new": self._new,
            "/regenerate": self._regenerate,
            "/think": self._think,
            "/system": self._system,
            "/model": self._model,
            "/save": self._save,
            "/stop": lambda _rest: output.note(tr("Nothing is being written.")),
            "/help": lambda _rest: output.note(_help()),
        }

    def load(self, path: Path) -> None:
        """Load a model in place of the present one. Raises ModelRefused and others."""

        def on_event(event: Event) -> None:
            if isinstance(event, LoadProgress):  # from here on the model before is gone
                self._loaded = None
            show_progress(event)

        try:
            self._loaded = self._engine.load(
                path, self._settings, window_mib=o.COMMAND_LINE_MIB, on_event=on_event
            )
        finally:
            output.status("")
        output.aside(f"{self._loaded.facts.name} · {self._loaded.facts.engine}")

    def run(self) -> R1Error | None:
        """Serve until the end of the input; the last error that was met on the way."""
        if self._lines.terminal:
            output.aside(output.dimmed(tr("/help lists the commands, Ctrl-D leaves.")))
        warned = False
        while True:
            try:
                message = self._lines.message()
            except KeyboardInterrupt:
                if warned:
                    return self._failure
                warned = True
                output.note("\n" + tr("Press Ctrl-C once more to leave."))
                continue
            if message is None or message.strip() in ("/quit", "/exit", "/bye"):
                return self._failure
            warned = False
            if message.strip():
                self._take(message)

    def _take(self, message: str) -> None:
        word, _, rest = message.strip().partition(" ")
        try:
            if word in self._commands:
                self._commands[word](rest.strip())
            elif word.startswith("/") and "\n" not in message and word[1:].isalpha():
                output.note(tr("There is no command {word}; /help lists them.", word=word))
            else:
                self.conversation.said.append(Message(role=Role.USER, content=message))
                self._answer()
        except R1Error as error:
            self._failure = error
            output.error(error)

    def _answer(self) -> None:
        """Answer what was said last. An answer that fails takes its question back."""
        answering = Answering(self._engine, self._lines)
        with _stopping(answering):
            try:
                answer = answering.run(self.conversation, self._sampling, quiet=self._as_json)
            except R1Error:
                self.conversation.drop_last_answer()
                if self.conversation.said:
                    self.conversation.said.pop()
                raise
        if self._as_json and self._loaded is not None:
            output.result_json(generate_report(answer, self._loaded))

    # ---- commands ---------------------------------------------------------------------------

    def _new(self, _rest: str) -> None:
        self.conversation.clear()
        output.note(tr("A new conversation."))

    def _regenerate(self, _rest: str) -> None:
        if self.conversation.drop_last_answer():
            self._answer()
        else:
            output.note(tr("There is nothing to answer yet."))

    def _think(self, _rest: str) -> None:
        output.note(self.conversation.thinking or tr("The last answer has no thinking."))

    def _system(self, rest: str) -> None:
        if rest:
            self.conversation.system = "" if rest == "-" else rest
        output.note(tr("System prompt: {words}", words=self.conversation.system or "–"))

    def _model(self, rest: str) -> None:
        if rest:
            self._change_model(o.chosen_model(Path(rest).expanduser()).absolute())
        elif self._loaded is not None:
            output.note(f"{self._loaded.facts.name}: {self._loaded.facts.path}")

    def _change_model(self, path: Path) -> None:
        """Another model, or the one before where that is stopped or fails."""
        before = self._loaded
        with cancelling(self._engine) as stopped:
            try:
                self.load(path)
            except R1Error as error:
                if stopped():
                    output.note(str(error))
                if self._loaded is None and before is not None:
                    self.load(Path(before.facts.path))
                if not stopped():
                    raise

    def _save(self, rest: str) -> None:
        name = self._loaded.facts.name if self._loaded is not None else "R1"
        try:
            output.note(tr("Saved as {path}", path=save(self.conversation, name, rest)))
        except OSError as error:
            output.note(
                tr("{path} cannot be written: {reason}.", path=rest, reason=error.strerror or error)
            )


@contextmanager
def _stopping(answering: Answering) -> Iterator[None]:
    """Ctrl-C ends the answer; a second one ends the program."""

    def on_interrupt(_number: int, _frame: FrameType | None) -> None:
        if not answering.stop():
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _help() -> str:
    return tr(
        "/new           begin a new conversation\n"
        "/regenerate    another answer to the last question\n"
        "/think         show what the model thought before its last answer\n"
        "/stop          while an answer is written: end it, as Ctrl-C does\n"
        "/system TEXT   what the model should heed; “-” for nothing\n"
        "/model FILE    go on with another model\n"
        "/save FILE     write the conversation into a new file\n"
        "/quit          leave, as Ctrl-D does\n"
        'A line that ends with \\ goes on in the next one; """ begins and ends a longer text.'
    )
