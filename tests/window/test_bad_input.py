"""Bad model files given to the real window: chosen, dropped, remembered.

Each is refused in our words, in the notice bar and in the panel, within ten seconds; the window
answers meanwhile, and the model before goes on answering.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from deepseek_r1.core import errors
from deepseek_r1.core.settings import LoadSettings
from r1desk import preferences as prefs
from r1desk.desk import Desk
from support import hostile
from support.gguf_files import tiny_llama, tiny_qwen2
from support.raw_gguf import I32, U16, RawGguf
from window.desk_fixture import ask, running_desk, short_answers, wait_answered, wait_ready
from window.stall_meter import answering_window

pytestmark = pytest.mark.native

VERDICT_MS = 10_000
R1_HEADER = Path(__file__).parents[3] / "shared" / "data" / "r1-distill-qwen-7b.header.gguf"
STARTER_NAME = "SmolLM2"


def drop(desk: Desk, path: Path) -> None:
    """Let go of a file over the window, as a file manager does."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    window = desk.window
    enter = QDragEnterEvent(
        window.rect().center(),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(window, enter)
    assert enter.isAccepted()
    event = QDropEvent(
        QPointF(window.rect().center()),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(window, event)
    assert event.isAccepted()


def choose(desk: Desk, path: Path) -> None:
    desk.models.choose(path)


def refusal(
    qtbot: QtBot, desk: Desk, give: Callable[[Desk, Path], None], path: Path
) -> errors.ErrorReport:
    """What the window says about `path`, after seeing that it says it everywhere."""
    desk.window.notices.clear()
    with answering_window(), qtbot.waitSignal(desk.models.load_failed, timeout=VERDICT_MS) as said:
        give(desk, path)
    report = said.args[0]
    assert desk.window.notices.notice is not None
    assert desk.window.notices.label.text() == report.text()
    assert "Still in use" in desk.window.panel.model.state.text()
    assert desk.models.current is not None
    assert STARTER_NAME in desk.window.panel.model.name.text().replace("\u200b", "")
    return report


def assert_still_answers(qtbot: QtBot, desk: Desk) -> None:
    ask(qtbot, desk, "Say hello.")
    wait_answered(qtbot, desk)
    assert desk.chat.shown_branch[-1].state == "complete"
    assert desk.chat.shown_branch[-1].content


def test_no_hostile_file_gets_in_and_the_model_before_goes_on_answering(
    qtbot: QtBot, own_profile: Path, tmp_path: Path
) -> None:
    sound = RawGguf.parse(tiny_llama(tmp_path / "sound.gguf").read_bytes())
    with running_desk(qtbot, own_profile, short_answers) as desk:
        wait_ready(qtbot, desk)
        engine = desk.engine.engine_pid
        for number, case in enumerate(hostile.CASES):
            path = tmp_path / "hostile.gguf"
            path.write_bytes(case.build(sound.copy()))
            report = refusal(qtbot, desk, drop if number % 8 == 0 else choose, path)
            assert report.code == case.expected.__name__, case.name
            assert "hostile.gguf" in report.text() or report.code == "SplitPartMissing", case.name
        assert desk.engine.engine_pid == engine
        assert_still_answers(qtbot, desk)


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
    with running_desk(qtbot, own_profile, short_answers) as desk:
        wait_ready(qtbot, desk)
        for path, expected in cases:
            assert refusal(qtbot, desk, choose, path).code == expected.__name__, repr(path)
        for path, expected in cases[:7]:
            assert refusal(qtbot, desk, drop, path).code == expected.__name__, repr(path)
        assert_still_answers(qtbot, desk)
        assert desk.preferences.model_path is None
        assert desk.preferences.recent_models == []


def test_a_model_in_parts_loads_whichever_part_is_chosen(
    qtbot: QtBot, own_profile: Path, tmp_path: Path
) -> None:
    first = split_model(tmp_path, tiny_llama(tmp_path / "sound.gguf"))
    with running_desk(qtbot, own_profile, small_context) as desk:
        wait_ready(qtbot, desk)
        drop(desk, first.with_name("tiny-00002-of-00003.gguf"))
        qtbot.waitUntil(lambda: desk.preferences.model_path == str(first), timeout=VERDICT_MS)
        assert_still_answers(qtbot, desk)


def test_settings_that_do_not_fit_the_model_are_refused_and_taken_back(
    qtbot: QtBot, own_profile: Path
) -> None:
    with running_desk(qtbot, own_profile, short_answers) as desk:
        wait_ready(qtbot, desk)
        panel, before = desk.window.panel, desk.preferences.load
        panel.load.rows["context_length"].changed.emit(1_000_000)  # the field itself allows less
        assert panel.pending.isVisible()
        with answering_window(), qtbot.waitSignal(desk.models.load_failed, timeout=VERDICT_MS):
            panel.apply_button.click()
        assert "8,192 tokens or less" in desk.window.notices.label.text()
        assert "Still in use" in panel.model.state.text()
        assert desk.preferences.load == before
        assert panel.pending.isVisible(), "the edit must stay in sight, as not yet applied"
        panel.undo_button.click()
        assert not panel.pending.isVisible()
        assert panel.load.rows["context_length"].spin.value() == before.context_length
        assert_still_answers(qtbot, desk)


def test_a_budget_that_is_too_small_is_refused_with_advice_and_forgotten(
    qtbot: QtBot, own_profile: Path
) -> None:
    with running_desk(qtbot, own_profile, short_answers) as desk:
        wait_ready(qtbot, desk)
        panel, before = desk.window.panel, desk.preferences.load
        panel.load.rows["memory_budget"].changed.emit(256)
        with qtbot.waitSignal(desk.models.planned, timeout=VERDICT_MS):
            pass
        assert not panel.apply_button.isEnabled()
        assert panel.apply_button.toolTip(), "why it cannot be applied"
        with answering_window(), qtbot.waitSignal(desk.models.load_failed, timeout=VERDICT_MS):
            desk.models.apply(panel.load.edited)  # as if the bill had come too late
        said = desk.window.notices.label.text()
        assert "256 MiB" in said
        assert said.split(". ")[-1], "advice"
        assert desk.models.current is not None
        assert desk.preferences.load == before
        assert_still_answers(qtbot, desk)
    with running_desk(qtbot, own_profile) as desk:
        wait_ready(qtbot, desk)
        assert desk.preferences.load == before


def test_a_remembered_model_that_is_gone_is_said_and_another_can_be_chosen(
    qtbot: QtBot, own_profile: Path, tmp_path: Path, starter: Path
) -> None:
    def gone(stored: prefs.Preferences) -> None:
        short_answers(stored)
        stored.model_path = str(tmp_path / "gone.gguf")

    with running_desk(qtbot, own_profile, gone) as desk:
        with qtbot.waitSignal(desk.models.load_failed, timeout=VERDICT_MS):
            pass
        assert "gone.gguf" in desk.window.notices.label.text()
        assert desk.models.current is None
        ask(qtbot, desk, "Is anybody there?")
        wait_answered(qtbot, desk)
        answer = desk.chat.shown_branch[-1]
        assert answer.state == "failed"
        assert answer.error_text == errors.ModelNotLoaded().report().text()
        drop(desk, starter)
        wait_ready(qtbot, desk)
        desk.window.chat.regenerate_requested.emit(answer.id)
        wait_answered(qtbot, desk)
        assert desk.chat.shown_branch[-1].state == "complete"


def small_context(stored: prefs.Preferences) -> None:
    short_answers(stored)
    stored.load = LoadSettings(context_length=512)


def header_of_r1(folder: Path) -> Path:
    """A file with all of DeepSeek-R1's header and none of its weights."""
    path = folder / "header only.gguf"
    if R1_HEADER.exists():
        shutil.copyfile(R1_HEADER, path)
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
