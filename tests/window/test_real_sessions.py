"""The application with its own engine and a model: what no script can stand in for.

All other sessions have the scripted engine. Each test here names what it needs a model for.
"""

import os
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from deepseek_r1.core import errors, events
from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.settings import DraftMode, LoadSettings, SamplingSettings
from r1desk import preferences as prefs
from r1desk.chat.feature import PROMPTS_FOLDER
from r1desk.chat.messages.thinking import ThinkingBox
from r1desk.chat.messages.user_view import UserView
from r1desk.chat.values.intents import ContextWay
from r1desk.models import controller
from r1desk.shell.session import Session
from support import hostile
from support.budgets import engine_extra_mib
from support.gguf_files import tiny_llama
from support.raw_gguf import RawGguf
from support.split import split
from window.mouse_and_keys import click, press
from window.session_fixture import (
    Adapt,
    ask,
    ask_and_wait,
    is_text,
    last_view,
    session_with,
    short_answers,
    small_context,
    wait_answered,
    wait_ready,
    wait_thinking,
)
from window.stall_meter import answering_window
from window.stored_conversations import store_conversation

pytestmark = pytest.mark.integration

shallow = pytest.mark.usefixtures("shallow_installation")
LONG = " ".join(f"The {n}th sheep jumps over the fence." for n in range(24))
TURNS = ("Count sheep.", LONG, "Count more sheep.", LONG)
VERDICT_MS = 10_000


@contextmanager
def real_session(qtbot: QtBot, folder: Path, adapt: Adapt | None = None) -> Iterator[Session]:
    """The application with its own engine, once its model is loaded."""
    with session_with(qtbot, folder, adapt, None) as session:
        wait_ready(qtbot, session)
        yield session


# Answers that last until they are stopped: the starter's two ends of a text are ruled out.
ENDLESS = SamplingSettings(max_tokens=4000, logit_bias={0: -100.0, 2: -100.0}, end_repetition=False)


def endless_answers(stored: prefs.Preferences) -> None:
    stored.sampling = ENDLESS


def answered(qtbot: QtBot, session: Session, question: str = "Say hello.") -> str:
    """Ask something; the answer, which is complete."""
    ask_and_wait(qtbot, session, question)
    answer = session.chat.shown_branch[-1]
    assert answer.state == "complete", answer.error_text
    assert answer.content
    return answer.content


# ---- a whole chat -------------------------------------------------------------------------------


def test_a_newcomer_asks_and_is_answered_token_by_token(qtbot: QtBot, own_profile: Path) -> None:
    """The first answer that anybody gets, from the starter model."""
    with session_with(qtbot, own_profile, short_answers, None) as session:
        pieces: list[str] = []
        session.chat.answers.streamed.connect(
            lambda _, event: pieces.append(event.text) if is_text(_, event) else None
        )
        content = answered(qtbot, session, "What is the capital of France?")
        assert len(pieces) > 1  # a fast machine's tokens come several together
        assert "".join(pieces) == content
        stats = session.chat.shown_branch[-1].stats
        assert stats is not None
        assert stats.completion_tokens > 3
        assert stats.decode_tok_s > 0


@shallow
@pytest.mark.quiet
def test_stop_ends_the_answer_within_200_ms_and_keeps_it(qtbot: QtBot, own_profile: Path) -> None:
    """A promise, about a pass of llama.cpp that is under way."""
    with real_session(qtbot, own_profile, endless_answers) as session:
        ended: list[float] = []
        session.engine.event_received.connect(
            lambda event: (
                ended.append(time.monotonic())
                if isinstance(event, events.GenerationFinished)
                else None
            )
        )
        taken_s = []
        for number in range(3):  # other work makes it longer, never shorter
            with qtbot.waitSignal(session.chat.answers.streamed, check_params_cb=is_text):
                ask(qtbot, session, "Write a long story about a fox.")
            stopped = time.monotonic()
            qtbot.keyClick(session.window.composer.editor, Qt.Key.Key_Escape)
            wait_answered(qtbot, session)
            qtbot.waitUntil(lambda number=number: len(ended) > number)
            answer = session.chat.shown_branch[-1]
            assert answer.state == "stopped"
            assert answer.content
            assert answer.stats is not None
            assert answer.stats.finish_reason == events.FinishReason.CANCELLED
            taken_s.append(ended[number] - stopped)
        assert min(taken_s) < 0.2


@shallow
def test_a_cut_answer_goes_on_as_the_uncut_one(qtbot: QtBot, own_profile: Path) -> None:
    """Only a model's cells show that nothing was lost between the two parts."""

    def greedy(tokens: int) -> SamplingSettings:
        return SamplingSettings(max_tokens=tokens, temperature=0.0)

    def first(stored: prefs.Preferences) -> None:
        stored.sampling = greedy(36)

    with real_session(qtbot, own_profile, first) as session:
        uncut = answered(qtbot, session, "Write about the sea.")
        click(session.window.sidebar.new_button)
        session.chat_settings.set_sampling(greedy(12))
        begun = answered(qtbot, session, "Write about the sea.")
        row = last_view(session).ways
        assert row is not None
        session.chat_settings.set_sampling(greedy(24))
        click(row.buttons[0])
        wait_answered(qtbot, session)
        continued = session.chat.shown_branch[-1].content
        assert continued.startswith(begun)
        assert continued == uncut
        assert last_view(session).body.source == continued


@shallow
def test_a_conversation_goes_past_its_context_three_times_and_loses_nothing(qtbot, own_profile):
    """Real token counts, a real reload with a longer context, a real summary."""
    store_conversation(own_profile, *TURNS)
    asked = []

    def ask_until_full(session: Session, question: str) -> list[str]:
        """Ask the same until the card is there; returns the branch, without the empty answer."""
        for _ in range(6):
            asked.append(question)
            ask_and_wait(qtbot, session, question)
            if session.chat.shown_branch[-1].state == "failed":
                break
        qtbot.waitUntil(lambda: session.chat_feature.overflow.options is not None)
        return [message.content for message in session.chat.shown_branch[:-1]]

    def go_on(session: Session, way: ContextWay, question: str) -> None:
        options, card = session.chat_feature.overflow.options, last_view(session).ways
        assert options is not None
        assert card is not None
        click(card.buttons[[option.way for option in options.options].index(way)])

        def completed() -> bool:
            branch = session.chat.shown_branch
            answered = len(branch) > 1 and branch[-2].content == question
            return answered and branch[-1].state == "complete" and not session.chat.busy

        qtbot.waitUntil(completed)

    with real_session(qtbot, own_profile, small_context) as session:
        first = ask_until_full(session, "How many were there?")
        go_on(session, ContextWay.LONGER, "How many were there?")
        assert session.models.current is not None
        assert session.models.current.facts.context_length == 1024
        assert [m.content for m in session.chat.shown_branch[:-1]] == first
        second = ask_until_full(session, LONG)
        go_on(session, ContextWay.LEAVE_OUT, LONG)
        assert [m.content for m in session.chat.shown_branch[:-1]] == second
        begins = next(m for m in session.chat.shown_branch if m.memory_start)
        view = session.window.chat.view(begins.id)
        assert isinstance(view, UserView)
        assert view.memory_line is not None
        assert not view.memory_line.isHidden()
        third = ask_until_full(session, LONG)
        go_on(session, ContextWay.SUMMARY, LONG)
        assert session.chat.shown_branch[-3].memory_start
        assert [m.content for m in session.chat.shown_branch[:-4]] == third[:-1]
        stored = session.store._store.submit(lambda store: store.messages.all_of(1)).result()
    texts = [message.content for message in stored]
    assert all(texts.count(text) >= third.count(text) for text in third)
    assert all(texts.count(text) >= asked.count(text) for text in asked)


# ---- thinking -----------------------------------------------------------------------------------

# The starter does not think by itself: this template opens its thinking, as R1's does.
THINKING = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
    "{% endfor %}{{ '<|im_start|>assistant\n<think>\n' }}"
)


def thinker(stored: prefs.Preferences) -> None:
    """Nearly random tokens, among which neither an end nor a closing tag comes up."""
    stored.chat_templates = {str(starter_model()): THINKING}
    stored.load = stored.load.model_copy(update={"context_length": 2048})
    stored.sampling = SamplingSettings(max_tokens=12, seed=1, temperature=5.0, top_p=1.0)


class ClosingOnScreen(QObject):
    """When a box of thinking was first painted with the reason why it ended; 0 before that."""

    def __init__(self, box: ThinkingBox) -> None:
        super().__init__(box)
        self.painted_at = 0.0
        self._box = box
        box.installEventFilter(self)

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint and not self.painted_at and self._box.end_note.text():
            self.painted_at = time.perf_counter()
        return False


@shallow
@pytest.mark.quiet
@pytest.mark.parametrize("by", ["key", "button"])
def test_answer_now_closes_the_thought_on_the_screen_within_300_ms(qtbot, own_profile, by):
    """A promise, about a pass of llama.cpp that is under way."""
    taken_ms = []
    with real_session(qtbot, own_profile, thinker) as session:
        for least in (1, 40, 200, 400, 600):
            ask(qtbot, session, "Go.")
            box = wait_thinking(qtbot, session, least)
            closing = ClosingOnScreen(box)
            began = time.perf_counter()
            if by == "key":
                press(Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
            else:
                click(box.answer_now)
            qtbot.waitUntil(lambda c=closing: c.painted_at > 0)
            taken_ms.append((closing.painted_at - began) * 1000)
            wait_answered(qtbot, session)
            assert session.chat.shown_branch[-1].content
    print(f"answer now by {by}, ms to the closed thought on the screen:", *map(round, taken_ms))
    assert statistics.median(taken_ms) < 300


@shallow
def test_a_stopped_thought_goes_on_and_is_answered(qtbot: QtBot, own_profile: Path) -> None:
    """The thinking is continued from the model's cells."""
    with real_session(qtbot, own_profile, thinker) as session:
        ask(qtbot, session, "Go.")
        wait_thinking(qtbot, session)
        press(Qt.Key.Key_Escape)
        wait_answered(qtbot, session)
        begun = session.chat.shown_branch[-1]
        assert not begun.content
        row = last_view(session).ways
        assert [button.text() for button in row.buttons] == ["Answer now", "Keep thinking"]
        click(row.buttons[1])
        wait_thinking(qtbot, session, len(begun.thinking) + 1)
        press(Qt.Key.Key_Escape)
        wait_answered(qtbot, session)
        longer = session.chat.shown_branch[-1]
        assert longer.thinking.startswith(begun.thinking)
        assert len(longer.thinking) > len(begun.thinking)
        click(last_view(session).ways.buttons[0])
        wait_answered(qtbot, session)
        assert session.chat.shown_branch[-1].thinking == longer.thinking
        assert session.chat.shown_branch[-1].content
        assert last_view(session).thinking.end_note.text() == "Ended by “Answer now”."
        assert last_view(session).ways is not None  # twelve tokens: it was cut


# ---- prompts on disk ----------------------------------------------------------------------------

# With the answer less than the 256 tokens of a segment, whatever the model writes.
QUESTION = "Count: " + " ".join(str(number) for number in range(45))


def segments(profile: Path) -> list[Path]:
    folder = profile / PROMPTS_FOLDER / "segments"
    return sorted(folder.glob("*.kv")) if folder.is_dir() else []


def wait_saved(qtbot: QtBot, session: Session) -> None:
    """Until the disk holds the conversation as its next turn will need it."""
    qtbot.waitUntil(
        lambda: (
            session.chat_feature.prompts.state is not None
            and session.chat_feature.prompts.state.segments > 0
        )
    )


def prefills(session: Session) -> list[events.PrefillProgress]:
    """What is read from now on."""
    read: list[events.PrefillProgress] = []

    def on_event(event: object) -> None:
        if isinstance(event, events.PrefillProgress):
            read.append(event)

    session.engine.event_received.connect(on_event)
    return read


def unseeded(stored: prefs.Preferences) -> None:
    """Short answers without a seed: one with a seed is read in whole pieces only."""
    stored.sampling = SamplingSettings(max_tokens=48)


@shallow
def test_a_reopened_chat_is_ready_before_its_next_message(qtbot: QtBot, own_profile: Path) -> None:
    """KV cells go to disk and come back."""
    with real_session(qtbot, own_profile, unseeded) as session:
        answered(qtbot, session, QUESTION)
        wait_saved(qtbot, session)
    with session_with(qtbot, own_profile, unseeded, None) as session:
        restored = prefills(session)
        wait_ready(qtbot, session)
        qtbot.waitUntil(lambda: bool(restored))
        assert restored[-1].cached == restored[-1].total > 150
        answered(qtbot, session, "Go on.")
        stats = session.chat.shown_branch[-1].stats
        assert stats is not None
        assert stats.cached_tokens == restored[0].total


@shallow
def test_a_question_stopped_while_it_is_read_is_not_read_on(qtbot, own_profile):
    """The prefill of a long prompt is under way."""
    with real_session(qtbot, own_profile, endless_answers) as session:
        read = prefills(session)
        session.window.composer.set_text(" ".join(str(number) for number in range(1200)))
        session.window.composer.submit()
        qtbot.waitUntil(lambda: bool(read))
        press(Qt.Key.Key_Escape)
        wait_answered(qtbot, session)
        assert session.chat.shown_branch[-1].state == "stopped"
        read.clear()
        qtbot.wait(1000)
        assert all(each.done == each.cached for each in read)  # nothing was computed


@shallow
def test_a_conversation_that_is_deleted_for_good_leaves_nothing(qtbot, own_profile):
    """Neither deleted nor with prompts switched off, a file of the engine's stays on disk."""
    with real_session(qtbot, own_profile, short_answers) as session:
        answered(qtbot, session, QUESTION)
        wait_saved(qtbot, session)
        conversation = session.chat.conversation_id
        assert conversation is not None
        session.store.call(lambda store: store.conversations.trash(conversation))
        session.chat_feature.prompts.retain_present()
        qtbot.wait(200)
        assert segments(own_profile)  # it can still be taken out of the trash
        session.store.call(lambda store: store.conversations.purge([conversation]))
        session.chat_feature.prompts.retain_present()
        qtbot.waitUntil(lambda: not segments(own_profile))
        click(session.window.sidebar.new_button)
        answered(qtbot, session, QUESTION)
        row = session.window.panel.next_turn.rows["disk_mib"]
        qtbot.waitUntil(lambda: bool(segments(own_profile)))
        assert "on the disk" in row.cost.text()
        row.spin.setValue(0)
        qtbot.waitUntil(lambda: not segments(own_profile))
        assert session.preferences.prompts.disk_mib == 0


# ---- files that only a loader can judge ---------------------------------------------------------


def refusal(qtbot: QtBot, session: Session, path: Path) -> errors.ErrorReport:
    """What the window says about `path` in ten seconds, after seeing that it says it everywhere."""
    for row in tuple(session.window.notices.rows):
        row.close_button.click()
    with (
        answering_window(),
        qtbot.waitSignal(session.models.load_failed, timeout=VERDICT_MS) as said,
    ):
        session.models.choose(path)
    report: errors.ErrorReport = said.args[0]
    assert session.window.notices.text == report.text()
    assert "Still in use" in session.window.panel.model.state.text()
    assert session.models.current is not None
    return report


@shallow
@pytest.mark.quiet
def test_no_file_that_is_hostile_or_not_whole_gets_in_and_the_model_before_stays(
    qtbot: QtBot, own_profile: Path, tmp_path: Path
) -> None:
    """The engine opens and reads each file. `test_hostile_models.py` gives it all of the former."""
    sound = tiny_llama(tmp_path / "sound.gguf")
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(sound.read_bytes()[:-7])
    parts = split(sound, tmp_path / "parts")
    parts[1].unlink()
    no_files: list[tuple[Path, type[errors.R1Error]]] = [
        (tmp_path / "nowhere.gguf", errors.ModelFileMissing),
        (sound / "below a file.gguf", errors.ModelFileMissing),
        (tmp_path, errors.ModelFileUnreadable),
        (cut, errors.ModelFileTruncated),
        (parts[0], errors.SplitPartMissing),
        (Path("\0.gguf"), errors.ModelFileUnreadable),
        (tmp_path / ("x" * 300 + ".gguf"), errors.ModelFileUnreadable),
        (Path(os.fsdecode(bytes(tmp_path) + b"/\xff\xfe.gguf")), errors.ModelFileMissing),
        (tmp_path / "\ud800.gguf", errors.ModelFileMissing),
    ]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.gguf")
        no_files.append((tmp_path / "pipe.gguf", errors.ModelFileUnreadable))
    # One for each error, and some of these.
    hostile_files = list({case.expected: case for case in reversed(hostile.CASES)}.values())[::3]
    with real_session(qtbot, own_profile, short_answers) as session:
        engine = session.engine.engine_pid
        for case in hostile_files:
            path = tmp_path / "hostile.gguf"
            path.write_bytes(case.build(RawGguf.parse(sound.read_bytes())))
            report = refusal(qtbot, session, path)
            assert report.code == case.expected.__name__, case.name
            assert "hostile.gguf" in report.text() or report.code == "SplitPartMissing", case.name
        for path, expected in no_files:
            assert refusal(qtbot, session, path).code == expected.__name__, repr(path)
        assert session.engine.engine_pid == engine
        answered(qtbot, session)
        assert session.preferences.model_path is None
        assert session.preferences.recent_models == []


@shallow
def test_a_model_in_parts_is_chosen_by_any_and_answers_on_when_its_files_are_deleted(
    qtbot: QtBot, own_profile: Path, tmp_path: Path
) -> None:
    """llama.cpp opens the parts; the first is the one that is remembered."""
    first, second, _ = split(tiny_llama(tmp_path / "sound.gguf"), tmp_path / "parts")
    with real_session(qtbot, own_profile, small_context) as session:
        session.models.choose(second)
        qtbot.waitUntil(lambda: session.models.loaded_path == first)
        assert session.preferences.model_path == str(first)
        answered(qtbot, session)
        first.unlink()
        answered(qtbot, session)
        assert refusal(qtbot, session, first).code == errors.ModelFileMissing.__name__
        assert session.models.loaded_path == first
        answered(qtbot, session)


@shallow
def test_a_whole_chat_under_unusual_names(qtbot, tmp_path, monkeypatch):
    """Each process is given the names; on Linux the model's is no text at all."""
    name = "\u6df1\u5ea6 \U0001f40b 50%25 #2.gguf"
    if sys.platform == "linux":
        name = os.fsdecode(b"\xc4\xa3 50%25 #2.gguf")
    home = tmp_path / "\u674e\u660e \U0001f600 100% #1 'q' & x=1"
    if sys.platform != "win32":  # which forbids these two characters
        home /= '"d" ?'
    profile, models = home / "\u914d\u7f6e", home / "\u6a21\u578b"
    models.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USER", "\u674e\u660e")
    model = tiny_llama(models / name)
    with real_session(qtbot, profile, small_context) as session:
        session.models.choose(model)
        qtbot.waitUntil(lambda: session.models.loaded_path == model)
        content = answered(qtbot, session, "Hi 100% #1")
    with real_session(qtbot, profile) as session:
        assert session.models.loaded_path == model
        assert session.preferences.recent_models == [str(model)]
        qtbot.waitUntil(lambda: bool(session.chat.shown_branch))
        assert session.chat.shown_branch[-1].content == content


def test_a_template_from_a_file_is_used_named_and_remembered(qtbot, own_profile, tmp_path):
    """The engine renders it: the model thinks because this template says so."""
    sound = RawGguf.parse(tiny_llama(tmp_path / "sound.gguf").read_bytes())
    mute = sound.drop("tokenizer.chat_template").write(tmp_path / "mute.gguf")
    file = tmp_path / "mine.jinja"
    file.write_text("{% for m in messages %}[{{ m.content }}]{% endfor %}<think>\n", "utf-8")

    def with_mute(stored: prefs.Preferences) -> None:
        small_context(stored)
        stored.model_path = str(mute)

    with real_session(qtbot, own_profile, with_mute) as session:
        button = session.window.composer.template
        button.menu().aboutToShow.emit()
        button.menu().actions()[-1].trigger()
        dialog = session.window.findChild(QFileDialog)
        dialog.selectFile(str(file))
        dialog.accept()
        qtbot.waitUntil(lambda: button.text() == "Template: mine.jinja")
        assert session.models.current is not None
        assert session.models.current.facts.template.source is events.TemplateSource.CHOSEN
        assert session.models.current.facts.reasons  # the tag is in this template alone
        ask_and_wait(qtbot, session, "Hello")
        assert session.chat.shown_branch[-1].thinking
    file.unlink()
    with real_session(qtbot, own_profile) as session:
        button = session.window.composer.template
        assert button.text() == "Template: mine.jinja"
        button.menu().aboutToShow.emit()
        button.menu().actions()[0].trigger()  # automatic
        qtbot.waitUntil(lambda: "mine" not in button.text())
        assert session.preferences.chat_templates == {}
        assert session.preferences.chat_template_files == {}


# ---- memory -------------------------------------------------------------------------------------


def test_where_memory_is_free_a_refusal_offers_the_larger_budget(
    qtbot: QtBot, own_profile: Path, monkeypatch: pytest.MonkeyPatch, starter: Path
) -> None:
    """The bill of a real model against a real budget."""
    # What the window takes in a process of its own; this one has pytest and other tests in it.
    window_mib = 120.0 - engine_extra_mib(starter)
    monkeypatch.setattr(controller, "window_and_helpers_mib", lambda: window_mib)
    constant_applies = "deepseek_r1.memory.forecast.constant_applies"
    monkeypatch.setattr(constant_applies, sys.platform == "linux")  # as in the engine's process
    too_little = LoadSettings(memory_budget=256, context_length=8192)

    def small_budget(stored: prefs.Preferences) -> None:
        short_answers(stored)
        stored.load = too_little

    with session_with(qtbot, own_profile, small_budget, None) as session:
        rows = session.window.notices.rows
        qtbot.waitUntil(lambda: any("Give it 0." in "".join(row.notice.actions) for row in rows))
        button = rows[0].buttons[0]
        assert session.models.current is None
        assert (
            session.window.panel.bill.total.text()
            == "The memory bill appears once a model is chosen."
        )
        click(button)
        wait_ready(qtbot, session)
        loaded = session.preferences.load
        assert loaded == too_little.model_copy(update={"memory_budget": loaded.memory_budget})
        assert loaded.memory_budget > too_little.memory_budget
        assert not session.window.notices.isVisible(), "the refusal is over"
        assert session.models.current is not None
        assert session.models.current.bill.fits
        assert not session.window.panel.load.pending
        assert session.window.panel.load.edited == loaded
        answered(qtbot, session, "Hello")


@shallow
def test_a_model_is_loaded_with_its_draft_model_and_billed_for_it(
    qtbot: QtBot, own_profile: Path, shallow_starter: Path, tmp_path: Path
) -> None:
    """Two models in one process."""
    model = Path(shutil.copy(shallow_starter, tmp_path / "model.gguf"))

    def with_draft(stored: prefs.Preferences) -> None:
        small_context(stored)
        drafted = {"drafts": DraftMode.MODEL, "draft_model": str(shallow_starter)}
        stored.load = stored.load.model_copy(update=drafted)
        stored.model_path = str(model)

    with real_session(qtbot, own_profile, with_draft) as session:
        qtbot.waitUntil(lambda: session.models.loaded_path == model)
        assert session.models.current is not None
        assert any(line.name == "draft" for line in session.models.current.bill.lines)
        answered(qtbot, session, "Hello")
