"""The settings of prompts on disk show how much is there and how much was written today."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from deepseek_r1.core.events import PromptCacheState
from r1desk.performance.widgets.next_turn_section import NextTurnSection


@pytest.fixture
def section(qtbot: QtBot) -> NextTurnSection:
    made = NextTurnSection()
    qtbot.addWidget(made)
    return made


def texts(section: NextTurnSection) -> str:
    return "\n".join(label.text() for label in section.findChildren(QLabel))


def test_what_is_on_disk_and_what_was_written_today_are_numbers(section: NextTurnSection) -> None:
    section.show_state(PromptCacheState(disk_mib=1234.4, budget_mib=2048, written_today_mib=56.6))
    assert "1,234 MiB on disk, 57 MiB written today" in texts(section)


def test_a_disk_that_refuses_is_named_there(section: NextTurnSection) -> None:
    section.show_state(PromptCacheState(problem="the drive is nearly full"))
    assert "the drive is nearly full" in texts(section)
    section.show_state(PromptCacheState(disk_mib=1.0))
    assert "nearly full" not in texts(section)
