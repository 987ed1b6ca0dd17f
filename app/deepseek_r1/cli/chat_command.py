"""The command `deepseek-r1 chat`: a conversation in the terminal."""

import time
from collections.abc import Callable
from pathlib import Path

from deepseek_r1.cli import console
from deepseek_r1.cli import options as o
from deepseek_r1.cli.answering import (
    ShortageNotifier,
    answer_events,
    cancelling,
    interrupting,
    note_facts,
    note_template,
    read_documents,
    show_progress,
    show_reading,
    show_sources,
    summary,
    thinking_end_text,
)
from deepseek_r1.cli.command import command
from deepseek_r1.cli.conversation import Conversation, LineInput, save
from deepseek_r1.cli.generate_command import generate_report
from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.events import (
    AnswerDelta,
    Event,
    LoadProgress,
    ModelLoaded,
    PrefillProgress,
    ThinkingDelta,
    ThinkingFinished,
)
from deepseek_r1.core.i18n import N_, tr
from deepseek_r1.core.messages import Message, PartialAnswer, Role
from deepseek_r1.core.paths import profile_dir
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.documents.index import DocumentIndex
from deepseek_r1.documents.reading_memory import ReadingMemory
from deepseek_r1.engine.interface import GenerationResult
from deepseek_r1.engine.output.generation_output import ResultCollector
from deepseek_r1.host.client import EngineClient
from deepseek_r1.host.protocol import PromptCacheFolder

HISTORY_FILE = "chat_history"
TIMER_EVERY_S = 0.2
_HELP = N_(
    "/new           begin a new conversation\n"
    "/regenerate    generate another answer to the last question\n"
    "/continue      go on with an answer that ended early, or with its thinking\n"
    "/answer        end the thinking and answer now, also while the model thinks\n"
    "/think         show the model's thinking before its last answer\n"
    "/stop          stop the answer that is being written, as Ctrl-C does\n"
    "/system TEXT   give the model instructions; “-” removes them\n"
    "/document FILE attach a document, or a folder of them, to ask about; “-” removes all\n"
    "/model FILE    continue with another model\n"
    "/save FILE     write the conversation into a new file\n"
    "/quit          leave, as Ctrl-D does\n"
    'A line that ends with \\ continues on the next one; """ begins and ends a longer text.'
)


@command(
    "chat",
    tr("Talk with a model. /help lists the commands; Ctrl-C stops an answer, Ctrl-D leaves."),
)
@o.model_option
@o.system_option
@o.sampling_options
@o.load_options
@o.prompt_cache_option
@o.chat_template_option
@o.json_option
def chat(
    *,
    model: Path | None,
    system: str,
    sampling: SamplingSettings,
    load: LoadSettings,
    prompt_cache: Path | None,
    chat_template: str,
    as_json: bool,
) -> None:
    path = o.chosen_model(model).absolute()
    with (
        EngineClient(on_event=ShortageNotifier()) as engine,
        LineInput(profile_dir() / HISTORY_FILE) as lines,
    ):
        session = _Session(engine, lines, load, sampling, as_json=as_json)
        session.chat_template = o.chat_template(chat_template)
        session.prompt_cache = o.prompt_cache_folder(prompt_cache)
        session.conversation.system = o.clean_text(system)
        with interrupting(engine):
            session.load(path)
        failure = session.run()
    if failure is not None and not lines.terminal:  # a script gets the exit code
        raise SystemExit(failure.exit_code)


class _Session:
    """Handles messages and commands until the input ends."""

    def __init__(
        self,
        engine: EngineClient,
        lines: LineInput,
        load: LoadSettings,
        sampling: SamplingSettings,
        *,
        as_json: bool,
    ) -> None:
        self.conversation = Conversation()
        self.prompt_cache: PromptCacheFolder | None = None
        self.chat_template = ""
        self._engine, self._lines = engine, lines
        self._load, self._sampling, self._as_json = load, sampling, as_json
        self._loaded: ModelLoaded | None = None
        self._failure: R1Error | None = None
        self._timer_shown_at = 0.0
        self._commands: dict[str, Callable[[str], None]] = {
            "/new": self._new,
            "/regenerate": self._regenerate,
            "/continue": self._continue,
            "/answer": self._answer_now,
            "/think": self._think,
            "/system": self._system,
            "/document": self._document,
            "/model": self._model,
            "/save": self._save,
            "/stop": lambda _rest: console.note(tr("Nothing is being written.")),
            "/help": lambda _rest: console.note(tr(_HELP)),
        }

    def load(self, path: Path) -> None:
        """Load a model in place of the present one. Raises ModelRefused and other errors."""

        def on_event(event: Event) -> None:
            if isinstance(event, LoadProgress):  # from here on the former model is unloaded
                self._loaded = None
            show_progress(event)

        try:
            self._loaded = self._engine.load(
                path,
                self._load,
                window_mib=o.COMMAND_LINE_MIB,
                chat_template=self.chat_template,
                prompt_cache=self.prompt_cache,
                on_event=on_event,
            )
        finally:
            console.status("")
        console.aside(f"{self._loaded.facts.name} · {self._loaded.facts.engine}")
        note_template(self._loaded.facts.template)
        note_facts(self._load, self._loaded.facts)

    def run(self) -> R1Error | None:
        if self._lines.terminal:
            console.aside(tr("/help lists the commands, Ctrl-D leaves."), dim=True)
        warned = False
        while True:
            try:
                message = self._lines.message()
            except KeyboardInterrupt:
                if warned:
                    return self._failure
                warned = True
                console.note("\n" + tr("Press Ctrl-C once more to leave."))
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
                console.note(tr("There is no command {word}; /help lists them.", word=word))
            else:
                self.conversation.messages.append(Message(role=Role.USER, content=message))
                self._answer()
        except R1Error as error:
            self._failure = error
            console.error(error)

    def _answer(self) -> None:
        """Answer the last message. If the answer fails, that message is removed."""
        self.conversation.partial = None
        try:
            self._generate(self._sampling)
        except R1Error:
            self.conversation.drop_last_answer()
            if self.conversation.messages:
                self.conversation.messages.pop()
            raise

    def _generate(self, sampling: SamplingSettings, continues: PartialAnswer | None = None) -> None:
        """Answer the last message, or go on with the last answer, which ended early."""
        conversation, collector = self.conversation, ResultCollector()
        prompt = conversation.prompt()
        if continues is not None and continues.text:
            prompt.pop()
        with cancelling(self._engine):
            events = answer_events(
                self._engine,
                conversation.documents,
                prompt,
                self._loaded,
                sampling,
                continues=continues,
            )
            try:
                for event in events:
                    collector.add(event)
                    if not self._as_json:
                        self._show(event)
                    self._look_at_input()
            finally:
                console.status("")
                answer = collector.result()
                conversation.add_answer(answer, continues)
        if not self._as_json:
            self._show_end(answer)
        elif self._loaded is not None:
            console.result_json(generate_report(answer, self._loaded))

    def _look_at_input(self) -> None:
        line = self._lines.typed_meanwhile()
        if line.strip() == "/stop":
            self._engine.cancel()
        elif line.strip() == "/answer":
            self._engine.end_thinking()
        elif line:
            self._lines.keep(line)

    def _show(self, event: Event) -> None:
        match event:
            case PrefillProgress():
                show_reading(event)
            case ThinkingDelta(elapsed_s=seconds):
                self._show_timer(seconds)
            case ThinkingFinished(seconds=seconds, end=end):
                console.status("")
                line = tr("Thought for {n} s; /think shows it", n=f"{seconds:.1f}")
                why = thinking_end_text(end)
                console.aside(f"{line} ({why})" if why else line, dim=True)
            case AnswerDelta(text=text):
                console.answer(text)

    def _show_timer(self, seconds: float) -> None:
        now = time.monotonic()
        if now - self._timer_shown_at >= TIMER_EVERY_S:
            self._timer_shown_at = now
            console.status(tr("Thinking… {n} s", n=f"{seconds:.0f}"), dim=True)

    def _show_end(self, answer: GenerationResult) -> None:
        console.answer("\n")
        show_sources(answer.sources, self.conversation.documents)
        console.aside(summary(answer.stats), dim=True)
        if (partial := self.conversation.partial) is not None:
            thinking = tr("/continue goes on thinking, /answer answers now.")
            text = tr("/continue goes on with the answer.")
            console.aside(thinking if partial.inside_thinking else text, dim=True)

    # ---- commands ---------------------------------------------------------------------------

    def _new(self, _rest: str) -> None:
        self.conversation = Conversation(self.conversation.system)
        console.note(tr("A new chat."))

    def _regenerate(self, _rest: str) -> None:
        if self.conversation.drop_last_answer():
            self._answer()
        else:
            console.note(tr("There is nothing to answer yet."))

    def _continue(self, _rest: str) -> None:
        if (partial := self.conversation.partial) is not None:
            self._generate(self._sampling, partial)
        else:
            console.note(tr("There is no answer that ended early."))

    def _answer_now(self, _rest: str) -> None:
        partial = self.conversation.partial
        if partial is not None and partial.inside_thinking:
            self._generate(self._sampling.model_copy(update={"thinking_budget": 0}), partial)
        else:
            console.note(tr("There is no answer that ended inside its thinking."))

    def _think(self, _rest: str) -> None:
        console.note(self.conversation.thinking or tr("The last answer has no thinking."))

    def _system(self, rest: str) -> None:
        if rest:
            self.conversation.system = "" if rest == "-" else rest
        console.note(tr("System prompt: {prompt}", prompt=self.conversation.system or "–"))

    def _document(self, rest: str) -> None:
        if rest == "-":
            self.conversation.documents = DocumentIndex()
        elif rest:
            memory = ReadingMemory(lambda: self._load.memory_budget, self._reduce_weights)
            read_documents([Path(rest)], self.conversation.documents, memory)
        n = len(self.conversation.documents.added)
        console.note(tr("Attached documents: {n}", n=n))

    def _reduce_weights(self, mib: float) -> bool:
        """Let the weights have so much less: see `ReadingMemory`."""
        if self._loaded is None or not self._loaded.bill.streams:
            return False
        self._engine.set_budget(self._load.memory_budget, o.COMMAND_LINE_MIB + mib)
        return True

    def _model(self, rest: str) -> None:
        if rest:
            self._change_model(o.chosen_model(Path(rest).expanduser()).absolute())
        elif self._loaded is not None:
            console.note(f"{self._loaded.facts.name}: {self._loaded.facts.path}")

    def _change_model(self, path: Path) -> None:
        """Load another model, or the former one again if that is cancelled or fails."""
        before = self._loaded
        with cancelling(self._engine) as stopped:
            try:
                self.load(path)
            except R1Error as error:
                if stopped():
                    console.note(str(error))
                if self._loaded is None and before is not None:
                    self.load(Path(before.facts.path))
                if not stopped():
                    raise

    def _save(self, rest: str) -> None:
        name = self._loaded.facts.name if self._loaded is not None else "R1"
        try:
            console.note(tr("Saved as {path}", path=save(self.conversation, name, rest)))
        except OSError as error:
            console.note(
                tr("{path} cannot be written: {reason}.", path=rest, reason=error.strerror or error)
            )
