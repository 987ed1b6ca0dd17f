"""The row in the box: thinking, the template, and the tokens that are in use."""

from collections.abc import Iterator

import pytest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from deepseek_r1.core.events import TemplateSource, TemplateUsed
from deepseek_r1.core.settings import answer_reserve
from deepseek_r1.engine.prompt import template
from deepseek_r1.formats.template_file import TEMPLATE_NAMES
from r1desk.chat.composer.composer import Composer
from r1desk.chat.composer.flat_buttons import TemplateButton
from r1desk.chat.values.prompt import PromptSize


@pytest.fixture
def composer(qtbot: QtBot) -> Iterator[Composer]:
    parent = QWidget()
    qtbot.addWidget(parent)
    yield Composer(parent)
    parent.close()


@pytest.fixture
def button(composer: Composer) -> TemplateButton:
    return composer.template


def test_a_quarter_of_the_context_and_no_more_than_the_answer_is_kept_free() -> None:
    assert answer_reserve(4096, 2048) == 1024
    assert answer_reserve(16_384, 2048) == 2048
    assert answer_reserve(4096, 48) == 48


def test_a_message_fits_with_what_is_kept_free() -> None:
    assert PromptSize(text=100, history=668, reserve=256, context=1024).fits
    assert not PromptSize(text=101, history=668, reserve=256, context=1024).fits


@pytest.mark.parametrize(
    ("history", "exact", "context", "shown"),
    [
        (3_000, True, 8_192, "4,200 of 8,192 tokens"),
        (3_000, False, 8_192, "≈ 4,200 of 8,192 tokens"),
        (7_000, True, 8_192, "1,032 tokens too long for the context of 8,192"),
        (1_000, True, 4_096, "2,200 of 4,096 tokens"),
        (1_100, True, 4_096, "2,300 of 4,096 tokens · nearly full"),  # from four fifths on
    ],
)
def test_the_row_shows_what_is_in_use_and_what_is_too_much(
    composer, history, exact, context, shown
):
    height, bar = composer.sizeHint().height(), composer.size_button
    size = PromptSize(text=1_200, history=history, reserve=1_024, context=context, exact=exact)
    bar.show_size(size)
    assert bar.accessibleName() == shown
    assert "1,200 tokens" in bar.accessibleDescription()
    bar.show_size(None)
    assert bar.accessibleName() == "Context"
    assert not bar.isEnabled()  # Tab does not stop at nothing
    assert composer.sizeHint().height() == height  # nothing moves


@pytest.mark.parametrize("width", [400, 700])
def test_thinking_template_and_tokens_are_one_row_inside_the_box(composer, width):
    composer.template.show_template(TemplateUsed(name="chatml", source=TemplateSource.FAMILY))
    composer.thinking.show()
    composer.size_button.show_size(PromptSize(text=1200, history=3000, reserve=1024, context=8192))
    composer.resize(width, composer.sizeHint().height())
    composer.parentWidget().show()
    row = (composer.thinking, composer.template, composer.size_button)
    below = composer.editor.geometry().bottom()
    for part in row:
        assert part.y() > below
        assert composer.box().contains(part.geometry().toRectF())


def test_thinking_is_offered_with_its_time(qtbot: QtBot, composer: Composer) -> None:
    button = composer.thinking
    button.show_budget(2048, decode_tok_s=0.9)
    assert button.text() == "Thinking: Normal"
    assert "2,048 tokens: about 38 min" in button.toolTip()
    button.menu().aboutToShow.emit()
    texts = [action.text() for action in button.menu().actions()]
    assert any(text.startswith("Short") and "9 min 30 s" in text for text in texts)
    with qtbot.waitSignal(button.budget_chosen) as chosen:
        next(a for a in button.menu().actions() if a.text().startswith("Off")).trigger()
    assert chosen.args == [0]
    assert button.text() == "Thinking: Off"


def test_the_size_follows_the_size_of_the_text(composer: Composer) -> None:
    before = composer.size_button.sizeHint().height()
    composer.parentWidget().setStyleSheet("QWidget { font-size: 30pt; }")
    assert composer.size_button.sizeHint().height() > before


# ---- the chat template of a model whose file has none


def test_every_template_of_the_engine_can_be_chosen() -> None:
    assert sorted(template._SOURCES) == sorted(TEMPLATE_NAMES)


def test_a_files_own_template_needs_no_button(qtbot: QtBot, button: TemplateButton) -> None:
    button.show_template(TemplateUsed())
    assert button.isHidden()
    button.show_template(TemplateUsed(name="chatml", source=TemplateSource.FAMILY))
    assert not button.isHidden()
    assert button.text() == "Template: chatml"
    assert "family" in button.toolTip()


def test_another_template_is_one_choice_away(qtbot: QtBot, button: TemplateButton) -> None:
    button.show_template(TemplateUsed(name="completion", source=TemplateSource.COMPLETION))
    button.menu().aboutToShow.emit()
    actions = {action.text(): action for action in button.menu().actions()}
    assert actions["Automatic"].isChecked()
    with qtbot.waitSignal(button.template_chosen) as chosen:
        actions["llama3"].trigger()
    assert chosen.args == ["llama3"]


def test_a_template_from_a_file_is_requested_and_then_named(qtbot, button):
    button.show_template(TemplateUsed(name="chatml", source=TemplateSource.FAMILY))
    button.menu().aboutToShow.emit()
    with qtbot.waitSignal(button.file_action.triggered):
        button.menu().actions()[-1].trigger()
    button.show_template(TemplateUsed(source=TemplateSource.CHOSEN), "mine & yours.jinja")
    assert button.text() == "Template: mine && yours.jinja"  # shown with one &
    button.menu().aboutToShow.emit()
    checked = [each.text() for each in button.menu().actions() if each.isChecked()]
    assert checked == ["mine && yours.jinja"]
    button.show_template(TemplateUsed(source=TemplateSource.CHOSEN), f"{'x' * 99}.jinja")
    assert len(button.text()) < 50
