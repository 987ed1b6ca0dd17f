"""The tokens of the next message: their sum, and the row that shows them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from deepseek_r1.core.settings import SamplingSettings
from r1desk.chat.composer.composer_footer import ComposerFooter
from r1desk.chat.values.prompt import PromptSize, answer_reserve


@pytest.fixture
def footer(qtbot: QtBot) -> Iterator[ComposerFooter]:
    parent = QWidget()
    qtbot.addWidget(parent)
    yield ComposerFooter(parent)
    parent.close()


def test_a_quarter_of_the_context_and_no_more_than_the_answer_is_kept_free() -> None:
    assert answer_reserve(4096, SamplingSettings(max_tokens=2048)) == 1024
    assert answer_reserve(16_384, SamplingSettings(max_tokens=2048)) == 2048
    assert answer_reserve(4096, SamplingSettings(max_tokens=48)) == 48


def test_a_message_fits_with_what_is_kept_free() -> None:
    assert PromptSize(text=100, history=668, reserve=256, context=1024).fits
    assert not PromptSize(text=101, history=668, reserve=256, context=1024).fits


def test_the_row_shows_the_parts_and_what_is_too_much(footer: ComposerFooter) -> None:
    height = footer.sizeHint().height()
    footer.size_bar.show_size(PromptSize(text=1200, history=3000, reserve=1024, context=8192))
    assert footer.size_bar.text() == "Message 1,200 + conversation 3,000 + answer 1,024 of 8,192"
    footer.size_bar.show_size(PromptSize(text=1200, history=7000, reserve=1024, context=8192))
    assert footer.size_bar.text() == "1,032 tokens too many for the context of 8,192"
    footer.size_bar.show_size(None)
    assert not footer.size_bar.text()
    assert footer.sizeHint().height() == height  # nothing moves


def test_from_four_fifths_on_the_row_warns(footer: ComposerFooter) -> None:
    bar = footer.size_bar
    bar.show_size(PromptSize(text=0, history=2200, reserve=1024, context=4096))
    assert bar.text() == "Conversation 2,200 of 4,096 tokens"
    bar.show_size(PromptSize(text=0, history=2300, reserve=1024, context=4096))
    assert bar.text() == "Conversation 2,300 of 4,096 tokens · nearly full"


def test_thinking_is_offered_with_its_time(qtbot: QtBot, footer: ComposerFooter) -> None:
    button = footer.thinking
    button.show_budget(2048)
    assert button.text() == "Thinking: Normal"
    button.set_speed(0.9)
    assert button.text() == "Thinking: Normal · at most 37 min 56 s"
    assert "2,048 tokens: about 37 min 56 s" in button.toolTip()
    button.menu().aboutToShow.emit()
    texts = [action.text() for action in button.menu().actions()]
    assert any(text.startswith("Short") and "9 min 29 s" in text for text in texts)
    with qtbot.waitSignal(button.budget_chosen) as chosen:
        next(a for a in button.menu().actions() if a.text().startswith("Off")).trigger()
    assert chosen.args == [0]
    assert button.text() == "Thinking: Off"


def test_the_row_is_as_high_as_its_buttons_after_another_style_sheet(
    footer: ComposerFooter,
) -> None:
    footer.thinking.hide()
    footer.parentWidget().setStyleSheet("QToolButton { padding: 30px; }")
    assert footer.minimumHeight() == footer.thinking.sizeHint().height() > 60
