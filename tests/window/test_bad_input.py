"""Bad model files given to the real window: chosen, dropped, remembered.

Each is refused in our words, in the notice bar and in the panel; the window answers meanwhile,
and the model before goes on answering. Quiet where the window's answering is timed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from deepseek_r1.core import errors
from deepseek_r1.core.events import LoadProgress, TemplateSource
from deepseek_r1.core.settings import LoadSettings
from r1desk import preferences as prefs
from r1desk.chat.intents import Regenerate
from r1desk.shell.session import Session
from support import hostile
from support.gguf_files import tiny_gemma3, tiny_llama, tiny_qwen2
from support.r1_header import r1_header_if_there
from support.raw_gguf import I32, STRING, U16, RawGguf
from window.session_fixture import (
    ask,
    ready_session,
    running_session,
    short_answers,
    wait_answered,
    wait_ready,
)
from window.stall_meter import answering_window

pytestmark = pytest.mark.integration

VERDICT_MS = 10_000
STARTER_NAME = "SmolLM2"


def drag(session: Session, path: Path) -> QMimeData:
    """Hold a file over the window, as a file manager does."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    window = session.window
    enter = QDragEnterEvent(
        window.rect().center(),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(window, enter)
    assert enter.isAccepted()
    return data


def drop(session: Session, path: Path) -> None:
    """Let go of a file over the window, as a file manager does."""
    data = drag(session, path)
    window = session.window
    event = QDropEvent(
        QPointF(window.rect().center()),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(window, event)
    assert event.isAccepted()


def drop_and_load(qtbot: QtBot, session: Session, path: Path) -> None:
    drop(session, path)
    qtbot.waitUntil(lambda: session.models.loaded_path == path)


def choose(session: Session, path: Path) -> None:
    session.models.choose(path)


def refusal(
    qtbot: QtBot, session: Session, give: Callable[[Session, Path], None], path: Path
) -> errors.ErrorReport:
    """What the window says about `path` in ten seconds, after seeing that it says it everywhere."""
    session.window.notices.clear()
    with (
        answering_window(),
        qtbot.waitSignal(session.models.load_failed, timeout=VERDICT_MS) as said,
    ):
        give(session, path)
    report = said.args[0]
    assert session.window.notices.notice is not None
    assert session.window.notices.label.text() == report.text()
    assert "Still in use" in session.window.panel.model.state.text()
    assert session.models.current is not None
    assert STARTER_NAME in session.window.panel.model.name.text().replace("\u200b", "")
    return report


def assert_still_answers(qtbot: QtBot, session: Session) -> None:
    ask(qtbot, session, "Say hello.")
    wait_answered(qtbot, session)
    assert session.chat.shown_branch[-1].state == "complete"
    assert session.chat.shown_branch[-1].content


def of_every_kind(cases: Sequence[hostile.Hostile]) -> list[hostile.Hostile]:
    """Each fifth, and one for each error. test_hostile_models.py gives all to an engine."""
    first = {case.expected: case for case in reversed(cases)}
    chosen = {case.name: case for case in (*first.values(), *cases[::5])}
    return list(chosen.values())


@pytest.mark.quiet
def test_no_hostile_file_gets_in_and_the_model_before_goes_on_answering(
    qtbot: QtBot, own_profile: Path, tmp_path: Path
) -> None:
    sound = RawGguf.parse(tiny_llama(tmp_path / "sound.gguf").read_bytes())
    with ready_session(qtbot, own_profile, short_answers) as session:
        engine = session.engine.engine_pid
        for number, case in enumerate(of_every_kind(hostile.CASES)):
            path = tmp_path / "hostile.gguf"
            path.write_bytes(case.build(sound.copy()))
            report = refusal(qtbot, session, drop if number % 8 == 0 else choose, path)
            assert report.code == case.expected.__name__, case.name
            assert "hostile.gguf" in report.text() or report.code == "SplitPartMissing", case.name
        assert session.engine.engine_pid == engine
        assert_still_answers(qtbot, session)


@pytest.mark.quiet
def test_what_is_no_whole_file_is_refused_by_name(
    qtbot: QtBot, own_profile: Path, tmp_path: Path
) -> None:
    sound = tiny_llama(tmp_path / "sound.gguf")
    pipe = tmp_path / "pipe.gguf"
    os.mkfifo(pipe)
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(sound.read_bytes()[:-7])
    cases: list[tuple[Path, type[errors.R1Error]]] = [
        (tmp_path / "nowhere.gguf", errors.ModelFileMissing),
        (sound / "below a file.gguf", errors.ModelFileMissing),
        (tmp_path, errors.ModelFileUnreadable),
        (pipe, errors.ModelFileUnreadable),
        (cut, errors.ModelFileTruncated),
        (header_of_r1(tmp_path), errors.ModelFileTruncated),
        (split_model(tmp_path, sound, without=1), errors.SplitPartMissing),
        (Path("\0.gguf"), errors.ModelFileUnreadable),
        (tmp_path / ("x" * 300 + ".gguf"), errors.ModelFileUnreadable),
        (Path(os.fsdecode(bytes(tmp_path) + b"/\xff\xfe.gguf")), errors.ModelFileMissing),
        (tmp_path / "\ud800.gguf", errors.ModelFileMissing),
    ]
    with ready_session(qtbot, own_profile, short_answers) as session:
        for path, expected in cases:
            assert refusal(qtbot, session, choose, path).code == expected.__name__, repr(path)
        for path, expected in cases[:7]:
            assert refusal(qtbot, session, drop, path).code == expected.__name__, repr(path)
        assert_still_answers(qtbot, session)
        assert session.preferences.model_path is None
        assert session.preferences.recent_models == []


def test_a_model_in_parts_loads_whichever_part_is_chosen(
    qtbot: QtBot, own_profile: Path, tmp_path: Path
) -> None:
    first = split_model(tmp_path, tiny_llama(tmp_path / "sound.gguf"))
    with ready_session(qtbot, own_profile, small_context) as session:
        drop(session, first.with_name("tiny-00002-of-00003.gguf"))
        qtbot.waitUntil(lambda: session.preferences.model_path == str(first))
        assert_still_answers(qtbot, session)


@pytest.mark.quiet
def test_settings_that_do_not_fit_the_model_are_refused_and_taken_back(
    qtbot: QtBot, own_profile: Path
) -> None:
    with ready_session(qtbot, own_profile, short_answers) as session:
        panel, before = session.window.panel, session.preferences.load
        panel.load.rows["context_length"].changed.emit(1_000_000)  # the field itself allows less
        assert panel.load.pending
        with answering_window(), qtbot.waitSignal(session.models.load_failed):
            panel.message.apply_button.click()
        assert "8,192 tokens or less" in session.window.notices.label.text()
        assert "Still in use" in panel.model.state.text()
        assert session.preferences.load == before
        assert panel.load.pending, "the edit must stay in sight, as not yet applied"
        panel.message.undo_button.click()
        assert not panel.load.pending
        assert panel.load.rows["context_length"].spin.value() == before.context_length
        assert_still_answers(qtbot, session)


@pytest.mark.quiet
def test_a_budget_that_is_too_small_is_refused_with_advice_and_forgotten(
    qtbot: QtBot, own_profile: Path
) -> None:
    with ready_session(qtbot, own_profile, short_answers) as session:
        panel, before = session.window.panel, session.preferences.load
        panel.load.rows["memory_budget"].changed.emit(256)
        with qtbot.waitSignal(session.models.planned):
            pass
        assert not panel.message.apply_button.isEnabled()
        assert panel.message.apply_button.toolTip(), "why it cannot be applied"
        with answering_window(), qtbot.waitSignal(session.models.load_failed):
            session.models.apply(panel.load.edited)  # as if the bill had come too late
        said = session.window.notices.label.text()
        assert "256 MiB" in said
        assert said.split(". ")[-1], "advice"
        assert session.models.current is not None
        assert session.preferences.load == before
        assert_still_answers(qtbot, session)
    with ready_session(qtbot, own_profile) as session:
        assert session.preferences.load == before


def test_a_remembered_model_that_is_gone_is_said_and_another_can_be_chosen(
    qtbot: QtBot, own_profile: Path, tmp_path: Path, starter: Path
) -> None:
    def gone(stored: prefs.Preferences) -> None:
        short_answers(stored)
        stored.model_path = str(tmp_path / "gone.gguf")

    with running_session(qtbot, own_profile, gone) as session:
        with qtbot.waitSignal(session.models.load_failed):
            pass
        assert "gone.gguf" in session.window.notices.label.text()
        assert session.models.current is None
        ask(qtbot, session, "Is anybody there?")
        wait_answered(qtbot, session)
        answer = session.chat.shown_branch[-1]
        assert answer.state == "failed"
        assert answer.error_text == errors.ModelNotLoaded().report().text()
        drop(session, starter)
        wait_ready(qtbot, session)
        session.window.chat.requested.emit(Regenerate(answer.id))
        wait_answered(qtbot, session)
        assert session.chat.shown_branch[-1].state == "complete"


def test_a_text_that_is_dropped_is_attached_and_no_failed_load(
    qtbot: QtBot, own_profile: Path, tmp_path: Path
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("Eggs, milk", encoding="utf-8")
    with ready_session(qtbot, own_profile) as session:
        failures: list[object] = []
        session.models.load_failed.connect(failures.append)
        drop(session, notes)
        attached = session.presenters[0].attachments.controller
        qtbot.waitUntil(lambda: bool(attached.attachments))
        qtbot.waitUntil(lambda: attached.attachments[0].tokens > 0)
        assert [a.name for a in attached.attachments] == ["notes.txt"]
        assert not session.models.loading
        assert failures == []


def test_while_a_file_is_dragged_the_window_says_what_a_drop_does(
    qtbot: QtBot, own_profile: Path, tmp_path: Path
) -> None:
    with running_session(qtbot, own_profile) as session:
        window = session.window
        drag(session, tmp_path / "model.gguf")
        assert window.drop_target.isVisible()
        assert window.drop_target.size() == window.size()
        QApplication.sendEvent(window, QDragLeaveEvent())
        assert not window.drop_target.isVisible()


@pytest.mark.quiet
def test_a_file_with_a_broken_chat_template_leaves_the_model_before_loaded(
    qtbot: QtBot, own_profile: Path, tmp_path: Path
) -> None:
    sound = tiny_llama(tmp_path / "sound.gguf")
    broken = RawGguf.parse(sound.read_bytes())
    broken.set("tokenizer.chat_template", STRING, "{% for %}").write(tmp_path / "broken.gguf")
    with ready_session(qtbot, own_profile, small_context) as session:
        loaded = session.models.current
        events: list[object] = []
        session.engine.event.connect(events.append)
        report = refusal(qtbot, session, drop, tmp_path / "broken.gguf")
        assert report.code == errors.TemplateUnusable.__name__
        assert not any(isinstance(event, LoadProgress) for event in events), "nothing was unloaded"
        assert session.models.current == loaded
        total = f"{loaded.bill.total_mib:,.0f} of"
        assert session.window.panel.bill.total.text().startswith(total), "its bill again"
        assert_still_answers(qtbot, session)

        bar = session.window.notices
        assert bar.action_button.text() == "Use another template"
        bar.action_button.click()
        qtbot.waitUntil(lambda: session.models.loaded_path == tmp_path / "broken.gguf")
        assert not bar.isVisible(), "the refusal is over"
        assert session.window.composer_footer.template.text() == "Template: none, text is continued"
        assert_still_answers(qtbot, session)


def test_a_file_without_a_chat_template_is_loaded_and_another_can_be_chosen(
    qtbot: QtBot, own_profile: Path, tmp_path: Path
) -> None:
    sound = tiny_llama(tmp_path / "sound.gguf")
    mute = RawGguf.parse(sound.read_bytes()).drop("tokenizer.chat_template")
    path = mute.write(tmp_path / "mute.gguf")
    with ready_session(qtbot, own_profile, small_context) as session:
        assert session.window.composer_footer.template.isHidden()  # the starter model has its own
        drop_and_load(qtbot, session, path)
        button = session.window.composer_footer.template
        assert not button.isHidden()
        assert "has no chat template" in session.window.notices.label.text()
        assert_still_answers(qtbot, session)

        button.menu().aboutToShow.emit()
        llama3 = next(a for a in button.menu().actions() if a.text() == "llama3")
        llama3.trigger()
        qtbot.waitUntil(lambda: button.text() == "Template: llama3")
        assert session.models.current.facts.template.source is TemplateSource.CHOSEN
        assert session.preferences.chat_templates == {str(path): "llama3"}


def test_gemma_without_a_chat_template_gets_that_of_its_family(
    qtbot: QtBot, own_profile: Path, tmp_path: Path
) -> None:
    path = tiny_gemma3(tmp_path / "gemma-3-it.gguf")
    with ready_session(qtbot, own_profile, small_context) as session:
        drop_and_load(qtbot, session, path)
        assert "The template of its family is used: gemma." in session.window.notices.label.text()
        assert session.window.composer_footer.template.text() == "Template: gemma"
        assert_still_answers(qtbot, session)


def test_a_model_whose_file_is_deleted_while_it_is_loaded_goes_on_answering(
    qtbot: QtBot, own_profile: Path, tmp_path: Path
) -> None:
    path = tiny_llama(tmp_path / "deleted.gguf")
    with ready_session(qtbot, own_profile, small_context) as session:
        drop_and_load(qtbot, session, path)
        path.unlink()
        assert_still_answers(qtbot, session)
        with qtbot.waitSignal(session.models.load_failed) as refused:
            drop(session, path)
        assert refused.args[0].code == errors.ModelFileMissing.__name__
        assert session.models.loaded_path == path
        assert "Still in use" in session.window.panel.model.state.text()
        assert_still_answers(qtbot, session)


def small_context(stored: prefs.Preferences) -> None:
    short_answers(stored)
    stored.load = LoadSettings(context_length=512)


def header_of_r1(folder: Path) -> Path:
    """A file with all of DeepSeek-R1's header and none of its weights."""
    path = folder / "header only.gguf"
    if (published := r1_header_if_there()) is not None:
        shutil.copyfile(published, path)
    else:
        model = tiny_qwen2(folder / "whole.gguf")
        path.write_bytes(RawGguf.parse(model.read_bytes()).header())
    return path


def split_model(folder: Path, sound: Path, *, without: int | None = None) -> Path:
    """The first of the three parts of a model, one of which may be missing."""
    paths = []
    for number, (start, end) in enumerate(((0, 1), (1, 10), (10, None))):
        part = RawGguf.parse(sound.read_bytes())
        tensors = len(part.tensors)
        if number:
            part.keys = []
        part.tensors = part.tensors[start:end]
        part.set("split.no", U16, number).set("split.count", U16, 3)
        part.set("split.tensors.count", I32, tensors).lay_out()
        paths.append(part.write(folder / f"tiny-{number + 1:05d}-of-00003.gguf"))
    if without is not None:
        paths[without].unlink()
    return paths[0]
