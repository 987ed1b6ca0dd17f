"""Files and settings that are refused: said in the notice bar and in the panel, and undone.

The window answers meanwhile, and the model before stays. What a loader finds wrong with a file is
said by `hostile/test_hostile_models.py`, and through the window by `test_real_sessions.py`.
"""

import os
from functools import partial
from pathlib import Path

import pytest
from PySide6.QtGui import QDragLeaveEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from deepseek_r1.core import errors
from deepseek_r1.core.events import LoadProgress, TemplateSource
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.core.units import format_part
from deepseek_r1.formats.template_file import COMPLETION
from r1desk import preferences as prefs
from r1desk.shell.session import Session
from support.engine_script import EngineScript, refuses
from support.gguf_files import tiny_llama
from support.raw_gguf import STRING, RawGguf
from window.mouse_and_keys import choose_file, click, drag, drop, files_of, press_button
from window.session_fixture import (
    ask_and_wait,
    ready_session,
    running_session,
    wait_answered,
    wait_ready,
)
from window.stall_meter import answering_window


def assert_still_answers(qtbot: QtBot, session: Session) -> None:
    ask_and_wait(qtbot, session, "Say hello.")
    assert session.chat.shown_branch[-1].state == "complete"


@pytest.mark.quiet
def test_a_refused_file_is_said_everywhere_and_leaves_the_model_before(qtbot, ready, tmp_path):
    path = tmp_path / "hostile.gguf"
    path.write_bytes(b"GGUF" + b"\xff" * 100)
    before, received = ready.models.current, []
    ready.engine.event_received.connect(received.append)
    for give in (partial(drop, ready.window), ready.models.choose):
        for row in tuple(ready.window.notices.rows):
            row.close_button.click()
        with answering_window(), qtbot.waitSignal(ready.models.load_failed) as said:
            give(path)
        assert ready.window.notices.text == said.args[0].text()
        assert "Still in use" in ready.window.panel.model.state.text()
    assert not any(isinstance(each, LoadProgress) for each in received), "nothing was unloaded"
    assert ready.models.current == before
    total = format_part(before.bill.total_mib, before.bill.budget_mib)
    assert ready.window.panel.bill.total.text().startswith(total), "its bill again"
    assert ready.preferences.recent_models == []
    assert_still_answers(qtbot, ready)


def test_a_panel_that_is_opened_after_a_refusal_has_its_reason(qtbot, session, tmp_path):
    wait_ready(qtbot, session)
    (path := tmp_path / "hostile.gguf").write_bytes(b"GGUF" + b"\xff" * 100)
    with qtbot.waitSignal(session.models.load_failed) as refused:
        drop(session.window, path)
    click(session.window.gauge.memory)
    assert "Still in use" in session.window.panel.model.state.text()
    assert refused.args[0].text() in session.window.panel.model.state.toolTip()
    context = session.window.panel.load.rows["context_length"].spin
    assert context.maximum() == session.models.facts.context_trained  # of the model that is there


@pytest.mark.quiet
def test_settings_that_do_not_fit_the_model_are_refused_and_taken_back(qtbot, ready, engine):
    panel, before = ready.window.panel, ready.preferences.load
    panel.load.rows["context_length"].changed.emit(1_000_000)  # the field itself allows less
    assert panel.load.pending
    engine.loads(refuses(errors.ContextTooLarge(asked=1_000_000, trained=8192)))
    with answering_window(), qtbot.waitSignal(ready.models.load_failed):
        panel.message.apply_button.click()
    assert "8192 tokens or less" in ready.window.notices.text.replace(",", "")
    assert "Still in use" in panel.model.state.text()
    assert ready.preferences.load == before
    assert panel.load.pending, "the edit must stay in sight, as not yet applied"
    panel.message.undo_button.click()
    assert not panel.load.pending
    assert panel.load.rows["context_length"].spin.value() == before.context_length
    assert_still_answers(qtbot, ready)


@pytest.mark.quiet
def test_a_budget_that_is_too_small_is_refused_and_forgotten(qtbot, own_profile, engine):
    with ready_session(qtbot, own_profile, engine=engine) as session:
        panel, before = session.window.panel, session.preferences.load
        panel.load.rows["memory_budget"].changed.emit(256)
        qtbot.waitUntil(lambda: not panel.message.apply_button.isEnabled())
        qtbot.waitUntil(lambda: bool(panel.message.apply_button.toolTip()))  # why it cannot be
        refusal = errors.BudgetTooSmall(
            needed_mib=300, budget_mib=256, weights_mib=100, kv_mib=160, rest_mib=40, advice=""
        )
        engine.loads(refuses(refusal))
        with answering_window(), qtbot.waitSignal(session.models.load_failed):
            session.models.apply(panel.load.edited)  # as if the bill had come too late
        assert "0.2 GB" in session.window.notices.text
        assert session.models.current is not None
        assert session.preferences.load == before
        assert_still_answers(qtbot, session)
    engine.loads()
    with ready_session(qtbot, own_profile, engine=engine) as session:
        assert session.preferences.load == before


def test_a_remembered_model_that_is_gone_is_said_and_another_can_be_chosen(
    qtbot: QtBot, own_profile: Path, tmp_path: Path, starter: Path
) -> None:
    def gone(stored: prefs.Preferences) -> None:
        stored.model_path = str(tmp_path / "gone.gguf")

    with running_session(qtbot, own_profile, gone) as session:
        qtbot.waitUntil(lambda: "gone.gguf" in session.window.notices.text)
        assert session.models.current is None
        ask_and_wait(qtbot, session, "Is anybody there?")
        answer = session.chat.shown_branch[-1]
        assert answer.state == "failed"
        assert answer.error_text == errors.ModelNotLoaded().report().text()
        drop(session.window, starter)
        wait_ready(qtbot, session)
        press_button(session.window.chat.view(answer.id), "Try again")
        wait_answered(qtbot, session)
        assert session.chat.shown_branch[-1].state == "complete"


def test_while_a_file_is_dragged_the_window_says_what_a_drop_does(session, tmp_path):
    window = session.window
    held = files_of(tmp_path / "model.gguf")
    drag(window, held)
    assert window.drops.target.isVisible()
    assert window.drops.target.size() == window.size()
    QApplication.sendEvent(window, QDragLeaveEvent())
    assert not window.drops.target.isVisible()


# ---- chat templates -----------------------------------------------------------------------------


def test_where_a_models_own_template_cannot_be_used_another_one_is_offered(
    qtbot: QtBot, ready: Session, tmp_path: Path, engine: EngineScript
) -> None:
    broken = RawGguf.parse(tiny_llama(tmp_path / "sound.gguf").read_bytes())
    path = broken.set("tokenizer.chat_template", STRING, "{% for %}").write(tmp_path / "b.gguf")
    bar = ready.window.notices
    drop(ready.window, path)
    other = "Use another template"
    qtbot.waitUntil(lambda: any(other in row.notice.actions for row in bar.rows))
    engine.knows(template={"source": TemplateSource.CHOSEN, "name": COMPLETION})
    click(bar.rows[0].buttons[0])
    qtbot.waitUntil(lambda: ready.models.loaded_path == path)
    assert not bar.isVisible(), "the refusal is over"
    assert ready.window.composer.template.text() == "Template: none, it continues text"


def test_a_file_without_a_chat_template_is_loaded_and_another_can_be_chosen(
    qtbot: QtBot, ready: Session, tmp_path: Path, engine: EngineScript
) -> None:
    path = tiny_llama(tmp_path / "mute.gguf")
    button, shown = ready.window.composer.template, ready.window.notices
    assert button.isHidden()  # the starter model has its own
    engine.knows(template={"source": TemplateSource.FAMILY, "name": "gemma"})
    drop(ready.window, path)
    qtbot.waitUntil(lambda: button.text() == "Template: gemma")
    assert "The one of its family is used: gemma." in shown.text
    engine.knows(template={"source": TemplateSource.COMPLETION, "name": COMPLETION})
    drop(ready.window, path)
    qtbot.waitUntil(lambda: "has no chat template" in shown.text)
    assert not button.isHidden()
    engine.knows(template={"source": TemplateSource.CHOSEN, "name": "llama3"})
    button.menu().aboutToShow.emit()
    next(a for a in button.menu().actions() if a.text() == "llama3").trigger()
    qtbot.waitUntil(lambda: button.text() == "Template: llama3")
    assert ready.preferences.chat_templates == {str(path): "llama3"}


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b"\x89PNG\r\n\x1a\n\0{", "wrong.jinja cannot be used as a chat template"),
        (b"{% for %}", "The chat template cannot be used"),
        (None, "It is not a file"),  # a pipe, which is not waited for
    ],
    ids=["picture", "broken", "pipe"],
)
def test_a_file_that_is_no_template_is_refused_and_the_model_stays(
    qtbot, own_profile, tmp_path, engine, content, shown
):
    file = tmp_path / "wrong.jinja"
    make_file(file, content)
    engine.knows(template={"source": TemplateSource.COMPLETION, "name": COMPLETION})
    with ready_session(qtbot, own_profile, engine=engine) as session:
        before = session.models.current
        engine.loads(refuses(errors.TemplateUnusable(detail="line 1")))
        session.window.composer.template.file_action.trigger()
        choose_file(session.window, file)
        qtbot.waitUntil(lambda: shown in session.window.notices.text)
        assert session.models.current == before
        assert session.preferences.chat_templates == {}
        assert session.preferences.load == LoadSettings()
        assert session.window.composer.template.text().startswith("Template: none")


def make_file(file: Path, content: bytes | None) -> None:
    """A file with this content; None for a pipe."""
    if content is not None:
        file.write_bytes(content)
        return
    if not hasattr(os, "mkfifo"):
        pytest.skip("there are no named pipes")
    os.mkfifo(file)
