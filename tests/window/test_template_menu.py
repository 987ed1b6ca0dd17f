"""A chat template from a file, chosen below the message box for a model without its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from deepseek_r1.core.events import LoadProgress, TemplateSource
from deepseek_r1.core.settings import LoadSettings
from r1desk import preferences as prefs
from r1desk.shell.session import Session
from support.gguf_files import tiny_llama
from support.raw_gguf import RawGguf
from window.session_fixture import ask, running_session, short_answers, wait_answered, wait_ready

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("shallow_installation")]
SOURCE = "{% for m in messages %}[{{ m.content }}]{% endfor %}<think>\n"


@pytest.fixture
def mute(tmp_path: Path) -> Path:
    """A model whose file has no chat template."""
    sound = RawGguf.parse(tiny_llama(tmp_path / "sound.gguf").read_bytes())
    return sound.drop("tokenizer.chat_template").write(tmp_path / "mute.gguf")


def choose_file(qtbot: QtBot, session: Session, file: Path) -> None:
    """Take the menu's last entry and pick a file in the dialog."""
    button = session.window.composer_footer.template
    button.menu().aboutToShow.emit()
    button.menu().actions()[-1].trigger()
    dialog = session.window.findChild(QFileDialog)
    dialog.selectFile(str(file))
    dialog.accept()
    qtbot.waitUntil(lambda: session.window.findChild(QFileDialog) is None)


def with_model(path: Path, stored: prefs.Preferences) -> None:
    short_answers(stored)
    stored.load = LoadSettings(context_length=512)
    stored.model_path = str(path)


def test_a_template_from_a_file_is_used_named_and_remembered(
    qtbot: QtBot, own_profile: Path, mute: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text(SOURCE, encoding="utf-8")
    with running_session(qtbot, own_profile, lambda stored: with_model(mute, stored)) as session:
        wait_ready(qtbot, session)
        button = session.window.composer_footer.template
        choose_file(qtbot, session, file)
        qtbot.waitUntil(lambda: button.text() == "Template: mine.jinja")
        assert session.models.current is not None
        assert session.models.current.facts.template.source is TemplateSource.CHOSEN
        assert session.models.current.facts.reasons  # the tag is in this template alone
        ask(qtbot, session, "Hello")
        wait_answered(qtbot, session)
        assert session.chat.shown_branch[-1].thinking
    file.unlink()
    with running_session(qtbot, own_profile) as session:
        wait_ready(qtbot, session)
        button = session.window.composer_footer.template
        assert button.text() == "Template: mine.jinja"
        button.menu().aboutToShow.emit()
        button.menu().actions()[0].trigger()  # automatic
        qtbot.waitUntil(lambda: "mine" not in button.text())
        assert session.preferences.chat_templates == {}
        assert session.preferences.chat_template_files == {}


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b"\x89PNG\r\n\x1a\n\0{", "wrong.jinja cannot be used as a chat template"),
        (b"{% for %}", "The chat template cannot be used"),
        (b'{"chat_template": "x"}', "leaves the question out"),
    ],
    ids=["picture", "broken", "configuration"],
)
def test_a_file_that_is_no_template_is_refused_and_the_model_stays(
    qtbot: QtBot, own_profile: Path, mute: Path, tmp_path: Path, content: bytes, shown: str
) -> None:
    file = tmp_path / "wrong.jinja"
    file.write_bytes(content)
    with running_session(qtbot, own_profile, lambda stored: with_model(mute, stored)) as session:
        wait_ready(qtbot, session)
        before, events = session.models.current, []
        session.engine.event.connect(events.append)
        choose_file(qtbot, session, file)
        label = session.window.notices.label
        qtbot.waitUntil(lambda: shown in label.text())
        assert not any(isinstance(event, LoadProgress) for event in events), "nothing was unloaded"
        assert session.models.current == before
        assert session.preferences.chat_templates == {}
        assert session.window.composer_footer.template.text().startswith("Template: none")
        ask(qtbot, session, "Hello")
        wait_answered(qtbot, session)
        assert session.chat.shown_branch[-1].state == "complete"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_is_refused_instead_of_waited_for(
    qtbot: QtBot, own_profile: Path, mute: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe.jinja")
    with running_session(qtbot, own_profile, lambda stored: with_model(mute, stored)) as session:
        wait_ready(qtbot, session)
        session.window.composer_footer.template.file_requested.emit()
        dialog = session.window.findChild(QFileDialog)
        dialog.fileSelected.emit(str(tmp_path / "pipe.jinja"))
        dialog.reject()
        label = session.window.notices.label
        qtbot.waitUntil(lambda: "It is not a file" in label.text())
