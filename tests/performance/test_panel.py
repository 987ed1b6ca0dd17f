"""The panel shows every setting, says what it costs, and reloads only when told to."""

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QAccessible, QWheelEvent
from PySide6.QtWidgets import QApplication, QComboBox, QLabel, QStyleOptionButton, QWidget
from pytestqt.qtbot import QtBot

from deepseek_r1.core.errors import ModelFileMissing
from deepseek_r1.core.events import PromptCacheState
from deepseek_r1.core.settings import (
    AppliesWhen,
    CacheStrategy,
    KVType,
    LoadSettings,
    SamplingSettings,
)
from deepseek_r1.hardware import machine_memory_mib
from performance.samples import LINES, a_bill, a_model, number
from r1desk.chat.messages.document_pane import DocumentPane
from r1desk.performance.hints import BillPart, bill_parts
from r1desk.performance.widgets.answer_section import NextTurnSection
from r1desk.performance.widgets.bill_view import part_colour
from r1desk.performance.widgets.load_section import PLAN_DELAY_MS
from r1desk.performance.widgets.panel import PanelTab, PerformancePanel
from r1desk.theme import ThemeChoice, apply_theme

# Said by the offscreen platform about every window with a least size.
pytestmark = pytest.mark.qt_log_ignore("does not support propagateSizeHints")


def open_all(panel: PerformancePanel) -> None:
    """Every expert fold, and the bill's."""
    for page in panel.pages.values():
        page.expert.button.click()
    panel.bill_fold.button.click()


def test_every_load_setting_has_a_row_that_shows_it(panel: PerformancePanel):
    settings = LoadSettings(
        memory_budget=1536,
        threads=1,
        threads_prefill=2,
        context_length=6000,
        micro_batch=100,
        kv_type=KVType.Q4_0,
        swap_enabled=True,
        cache_strategy=CacheStrategy.LFU,
        enable_chunk_loading=False,
        chunk_size_kib=1000,
    )
    panel.load.set_settings(settings)
    assert {key: row.value for key, row in panel.load.rows.items()} == settings.model_dump()


ELSEWHERE = {  # below the composer, or for programs and the command line alone
    "thinking_budget",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "stop",
    "logprobs",
    "top_logprobs",
}


def test_every_sampling_setting_has_a_row_that_shows_it(panel: PerformancePanel):
    settings = SamplingSettings(
        temperature=1.25,
        top_p=0.5,
        top_k=40,
        min_p=0.05,
        repeat_penalty=1.1,
        max_tokens=777,
        end_repetition=False,
        seed=4_294_967_294,
    )
    panel.answers.show_settings(settings, "")
    shown = {key: row.value for key, row in panel.answers.rows.items()}
    assert shown == settings.model_dump(exclude=ELSEWHERE)


def test_showing_settings_asks_for_nothing(panel: PerformancePanel, qtbot):
    signals = [
        panel.load.plan_wanted,
        panel.settings_applied,
        panel.load.threads_changed,
        panel.answers.changed,
    ]
    received = []
    for signal in signals:
        signal.connect(lambda *values: received.append(values))
    panel.load.set_settings(LoadSettings(memory_budget=1024, threads=1))
    panel.answers.show_settings(SamplingSettings(temperature=1.0), "Be brief.")
    panel.show_model(a_model())
    qtbot.wait(400)
    assert received == []
    assert not panel.load.pending


@pytest.mark.parametrize("key", sorted(LoadSettings.model_fields))
def test_settings_that_need_a_reload_are_marked(panel: PerformancePanel, key: str):
    row = panel.load.rows[key]
    reload = LoadSettings.info(key).applies is AppliesWhen.RELOAD
    assert row.badge.isHidden() == (not reload)


def test_many_quick_changes_ask_for_one_plan(panel: PerformancePanel, qtbot):
    plans: list[LoadSettings] = []
    panel.load.plan_wanted.connect(plans.append)
    for context in (1024, 2048, 3072):
        number(panel, "context_length").spin.setValue(context)
    assert plans == []
    qtbot.waitUntil(lambda: len(plans) == 1)
    qtbot.wait(PLAN_DELAY_MS * 2)
    assert plans == [LoadSettings(context_length=3072)]


def test_the_plan_is_shown_before_the_reload(panel: PerformancePanel):
    panel.show_model(a_model())
    number(panel, "context_length").spin.setValue(8192)
    panel.show_plan(a_bill(), "")
    assert panel.load.pending
    assert "1.5 / 2.0 GB" in panel.message.text.text()
    assert panel.message.apply_button.isEnabled()


def test_beside_the_button_stands_what_a_reload_makes_of_the_context(panel: PerformancePanel):
    panel.show_model(a_model())  # with a context of 4,096
    panel.load.change("kv_type", KVType.F16)
    panel.show_plan(a_bill().model_copy(update={"context_length": 2048}), "")
    assert panel.message.text.text().endswith("Context 2,048 instead of 4,096")
    panel.show_plan(a_bill().model_copy(update={"context_length": 4096}), "")
    assert "Context" not in panel.message.text.text()


def test_a_plan_over_the_budget_is_not_applied_and_says_what_fits(panel: PerformancePanel):
    number(panel, "context_length").spin.setValue(8192)
    panel.show_plan(a_bill(budget_mib=1024), "A context of 512 fits.")
    assert not panel.message.apply_button.isEnabled()
    assert panel.bill.total.property("role") == "alarm"
    assert panel.message.text.text().endswith("A context of 512 fits.")
    number(panel, "context_length").spin.setValue(512)
    assert panel.message.apply_button.isEnabled()


def test_after_undo_the_keyboard_is_where_the_edit_was(panel: PerformancePanel, qtbot):
    panel.show_tab(PanelTab.CONVERSATION)
    slider = number(panel, "context_length").slider
    qtbot.keyClick(slider, Qt.Key.Key_Right)
    assert panel.load.pending
    panel.message.undo_button.setFocus()
    qtbot.keyClick(panel.message.undo_button, Qt.Key.Key_Space)
    assert not panel.load.pending
    assert panel.focusWidget() is slider


def test_a_plan_that_cannot_be_made_says_why(panel: PerformancePanel):
    number(panel, "context_length").spin.setValue(8192)
    gone = ModelFileMissing(path="/models/r1.gguf").report()
    panel.show_plan_failed(gone)
    assert panel.message.text.text() == gone.text()
    assert not panel.message.apply_button.isEnabled()


def test_apply_hands_over_all_edits_once(panel: PerformancePanel, qtbot):
    number(panel, "context_length").spin.setValue(2048)
    kind = panel.load.rows["kv_type"].combo
    kind.setCurrentIndex(2)
    kind.activated.emit(2)
    with qtbot.waitSignal(panel.settings_applied) as applied:
        qtbot.mouseClick(panel.message.apply_button, Qt.MouseButton.LeftButton)
    assert applied.args == [LoadSettings(context_length=2048, kv_type=KVType.Q8_0)]
    assert not panel.load.pending


def test_undo_brings_back_settings_and_bill(panel: PerformancePanel, qtbot):
    panel.show_model(a_model())
    number(panel, "memory_budget").spin.setValue(1024)
    panel.show_plan(a_bill(budget_mib=1024), "Too little.")
    qtbot.mouseClick(panel.message.undo_button, Qt.MouseButton.LeftButton)
    assert number(panel, "memory_budget").value == 2048
    assert "/ 2.0 GB" in panel.bill.total.text()
    assert "Too little" not in panel.message.text.text()
    assert not panel.load.pending


def test_undo_also_takes_back_the_plan_under_way(panel: PerformancePanel, qtbot):
    plans: list[LoadSettings] = []
    panel.load.plan_wanted.connect(plans.append)
    number(panel, "memory_budget").spin.setValue(1024)
    panel.message.undo_button.click()
    qtbot.wait(PLAN_DELAY_MS * 2)
    assert plans == []


def test_threads_change_at_once_and_wait_for_no_reload(panel: PerformancePanel, qtbot):
    with qtbot.waitSignal(panel.load.threads_changed) as changed:
        number(panel, "threads").spin.setValue(1)
    assert changed.args == [1, 0]
    assert not panel.load.pending
    assert number(panel, "threads_prefill").spin.text() == "Automatic"


def test_threads_survive_an_undo_of_other_settings(panel: PerformancePanel):
    number(panel, "context_length").spin.setValue(2048)
    number(panel, "threads").spin.setValue(1)
    panel.message.undo_button.click()
    assert number(panel, "threads").value == 1
    assert number(panel, "context_length").spin.text() == "Automatic"


def test_the_budget_ends_at_the_machines_memory(panel: PerformancePanel):
    most = number(panel, "memory_budget").spin.maximum()
    assert most <= machine_memory_mib()
    number(panel, "memory_budget").spin.setValue(10_000_000)
    assert number(panel, "memory_budget").value == most


def test_a_budget_from_a_larger_machine_is_shown_as_it_is(panel: PerformancePanel):
    panel.load.set_settings(LoadSettings(memory_budget=1_000_000))
    assert number(panel, "memory_budget").value == 1_000_000
    assert not panel.load.pending


def test_the_context_ends_where_the_models_training_does(panel: PerformancePanel):
    panel.show_model(a_model(context_trained=8192))
    row = number(panel, "context_length")
    row.spin.setValue(100_000)
    assert row.value == 8192
    row.slider.setValue(row.slider.minimum())
    assert (row.value, row.spin.text()) == (0, "Automatic")
    row.slider.setValue(row.slider.minimum() + 1)
    assert row.value == 256


def test_a_context_too_short_for_any_answer_becomes_the_shortest(panel: PerformancePanel):
    row = number(panel, "context_length")
    row.spin.setValue(100)
    assert row.value == 256
    assert panel.load.edited.context_length == 256


def test_the_slider_and_the_field_say_the_same(panel: PerformancePanel):
    row = number(panel, "micro_batch")
    row.slider.setValue(row.slider.maximum())
    assert row.spin.value() == 2048
    row.spin.setValue(20)
    assert row.value == 20
    assert row.slider.value() <= row.slider.minimum() + 1


def test_each_setting_says_what_it_costs(panel: PerformancePanel):
    panel.show_model(a_model())
    assert number(panel, "context_length").cost.text() == "0.1 GB (full precision)"
    assert number(panel, "micro_batch").cost.text() == "0.2 GB for computing"
    assert number(panel, "memory_budget").cost.text() == "0.5 GB unused"


def test_the_bill_shows_planned_beside_measured(panel: PerformancePanel):
    panel.show_model(a_model())
    for text in ("Weights", "1,065", "1,066", "planned", "measured"):
        assert text in panel.bill.details.text()


def test_the_bill_can_be_received(panel: PerformancePanel):
    panel.show_plan(a_bill(), "")
    assert panel.bill.accessibleDescription().startswith("1.5 / 2.0 GB: Weights 1.0 GB")


def test_what_the_models_engine_has_no_use_for_is_greyed_out_with_the_reason(panel):
    facts = a_model().facts.model_copy(
        update={"engine": "ctransformers 0.2.27", "format": "GGML", "ignored": ("kv_type", "min_p")}
    )
    panel.show_model(a_model().model_copy(update={"facts": facts}))
    for row in (panel.load.rows["kv_type"], panel.answers.rows["min_p"]):
        assert not any(control.isEnabled() for control in row.controls)
        assert "ctransformers" in row.cost.text()
    assert panel.answers.rows["temperature"].spin.isEnabled()
    assert "GGML" in panel.model.facts.text()
    assert "ctransformers" in panel.model.facts.text()


def test_another_engine_brings_the_greyed_settings_back(panel: PerformancePanel):
    before = panel.answers.rows["min_p"].cost.text()
    facts = a_model().facts.model_copy(update={"format": "GGML", "ignored": ("min_p",)})
    panel.show_model(a_model().model_copy(update={"facts": facts}))
    panel.show_model(a_model())
    row = panel.answers.rows["min_p"]
    assert row.spin.isEnabled()
    assert row.cost.text() == before


def test_reset_brings_back_the_defaults(panel: PerformancePanel, qtbot):
    panel.answers.show_settings(SamplingSettings(temperature=1.5, seed=7), "")
    with qtbot.waitSignal(panel.answers.changed) as changed:
        panel.answers.reset.click()
    assert changed.args == [SamplingSettings(), ""]
    assert number(panel, "seed").spin.text() == "random"


def test_typing_a_system_prompt_is_told_once(panel: PerformancePanel, qtbot):
    panel.show_tab(PanelTab.ANSWERS)
    received: list[str] = []
    panel.answers.changed.connect(lambda _sampling, prompt: received.append(prompt))
    qtbot.keyClicks(panel.answers.editor, "Short.")
    qtbot.waitUntil(lambda: bool(received))
    assert received == ["Short."]


def test_a_long_refusal_can_be_read_to_its_end(qtbot: QtBot, panel: PerformancePanel):
    panel.resize(340, 600)
    panel.show()
    panel.model.show_loading("DeepSeek-R1-Distill-Qwen-7B-Q4_K_M")
    panel.show_load_failed("This model needs 758 MiB and the memory budget is 700 MiB. " * 5)
    state = panel.model.state
    qtbot.waitUntil(lambda: state.height() >= state.heightForWidth(state.width()))
    assert panel.model.rect().contains(state.geometry())


def test_a_load_is_followed_from_start_to_end(panel: PerformancePanel):
    panel.model.show_loading("r1")
    panel.model.show_progress(0.43)
    assert panel.model.progress.value() == 430
    assert panel.model.state.text() == "Loading: 43 %"
    panel.show_model(a_model())
    assert panel.model.progress.isHidden()
    assert "Q4_K_M" in panel.model.facts.text()
    panel.show_load_failed("The engine ended.")
    assert panel.model.state.text() == "The engine ended."


def test_a_refusal_of_another_model_is_not_said_of_the_one_in_use(panel: PerformancePanel):
    panel.show_model(a_model())
    name = panel.model.name.text()
    panel.model.show_loading("other")
    panel.show_load_failed("This model needs 5,014 MiB.", a_model())
    assert panel.model.name.text() == name
    assert "5,014" not in panel.model.state.text()
    assert "Still in use" in panel.model.state.text()


def test_the_wheel_scrolls_and_changes_no_setting(panel: PerformancePanel, qapp: QApplication):
    slider = number(panel, "memory_budget").slider
    middle = QPointF(slider.rect().center())
    before = slider.value()
    turn = QWheelEvent(
        middle,
        slider.mapToGlobal(middle),
        QPoint(),
        QPoint(0, -240),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    qapp.sendEvent(slider, turn)
    assert slider.value() == before


def test_every_control_has_a_name_and_can_be_reached_by_keyboard(panel: PerformancePanel):
    open_all(panel)
    rows = panel.load.rows | panel.answers.rows
    for row in rows.values():
        for control in row.controls:
            assert control.accessibleName()
            assert control.accessibleDescription()
            assert control.focusPolicy() & Qt.FocusPolicy.TabFocus
    assert (
        panel.answers.editor.accessibleName() == "Instructions"
    )  # as the chip and Compare have it
    assert panel.tabs.accessibleName()


@pytest.mark.parametrize("text_pt", [9, 14])
def test_nothing_is_cut_off_at_the_side(qapp: QApplication, qtbot, text_pt: int):
    apply_theme(qapp, ThemeChoice.LIGHT)
    usual = qapp.font()
    large = qapp.font()
    large.setPointSize(text_pt)
    qapp.setFont(large)
    try:
        panel = PerformancePanel(DocumentPane())
        qtbot.addWidget(panel)
        open_all(panel)
        panel.show_model(a_model())
        panel.show()
        qtbot.waitExposed(panel)
        panel.resize(panel.minimumSizeHint().width(), 700)
        for page in panel.pages.values():
            panel.tabs.setCurrentWidget(page)
            content: QWidget = page.widget()
            qtbot.waitUntil(
                lambda content=content, page=page: (
                    content.minimumSizeHint().width() <= page.viewport().width()
                )
            )
    finally:
        qapp.setFont(usual)


def test_the_three_parts_of_the_bill_have_colours_of_their_own():
    assert len({part_colour(part) for part in BillPart}) == len(BillPart)


def test_the_three_parts_are_all_of_the_bill():
    parts = bill_parts(a_bill())
    assert round(sum(parts.values()), 1) == round(a_bill().total_mib, 1)
    assert parts[BillPart.MODEL] == LINES["weights"]
    assert parts[BillPart.CONVERSATION] == LINES["kv_cache"]


def test_a_button_that_goes_leaves_the_keyboard_in_its_row(qtbot: QtBot, panel: PerformancePanel):
    open_all(panel)
    panel.show()
    qtbot.waitExposed(panel)
    panel.activateWindow()
    row = panel.load.draft_model
    row.offer("Load with it")
    for button, value in ((row.offered, "a.gguf"), (row.none, "")):
        button.setFocus()
        row.set_value(value)
        assert not button.isVisible()
        assert panel.focusWidget() is row.button


def test_a_long_name_of_a_file_keeps_its_beginning_and_end(qtbot: QtBot, panel: PerformancePanel):
    open_all(panel)
    panel.show()
    qtbot.waitExposed(panel)
    row = panel.load.draft_model
    row.set_value("/models/DeepSeek-R1-DRAFT-Qwen2.5-0.5B-Q4_K_M.gguf")
    drawn = QStyleOptionButton()
    row.button.initStyleOption(drawn)
    assert drawn.text.startswith("DeepS")
    assert "…" in drawn.text
    assert drawn.text.endswith(".gguf")
    assert row.button.fontMetrics().horizontalAdvance(drawn.text) < row.button.width()
    assert row.button.text() == "DeepSeek-R1-DRAFT-Qwen2.5-0.5B-Q4_K_M.gguf"


@pytest.fixture
def section(qtbot: QtBot) -> NextTurnSection:
    made = NextTurnSection()
    qtbot.addWidget(made)
    return made


def texts(section: NextTurnSection) -> str:
    return "\n".join(label.text() for label in section.findChildren(QLabel))


def test_what_is_on_disk_and_what_was_written_today_are_numbers(section: NextTurnSection) -> None:
    section.show_state(PromptCacheState(disk_mib=1234.4, budget_mib=2048, written_today_mib=56.6))
    assert "1.2 GB on the disk, 57 MB written today" in texts(section)
    assert "checkpoints" not in texts(section)
    section.show_state(PromptCacheState(disk_mib=1234.4, checkpoints_mib=150.2))
    assert "0.1 GB of it checkpoints" in texts(section)


def test_a_disk_that_refuses_is_named_there(section: NextTurnSection) -> None:
    section.show_state(PromptCacheState(problem="the drive is nearly full"))
    assert "the drive is nearly full" in texts(section)
    section.show_state(PromptCacheState(disk_mib=1.0))
    assert "nearly full" not in texts(section)


def test_a_screen_reader_hears_the_label_of_every_choice(panel: PerformancePanel) -> None:
    panel.show()
    choices = panel.findChildren(QComboBox)
    assert len(choices) == 4
    for choice in choices:
        relations = QAccessible.queryAccessibleInterface(choice).relations()
        labels = [other.text(QAccessible.Text.Name) for other, _ in relations]
        assert labels == [choice.accessibleName()]


def test_the_budget_is_typed_in_gb_and_stays_exact_where_nobody_types(panel):
    row = number(panel, "memory_budget")
    row.set_value(1907)
    assert (row.spin.text(), row.value) == ("1.9", 1907)
    row.spin.interpretText()
    assert row.value == 1907
    row.spin.lineEdit().setText("2.5")
    row.spin.interpretText()
    assert row.value == 2560


def test_the_model_card_has_no_empty_lines_and_keeps_its_height_during_a_load(panel, qtbot):
    panel.show_model(a_model())
    card = panel.model
    qtbot.waitUntil(lambda: card.height() > 0)
    loaded = card.sizeHint().expandedTo(card.minimumSizeHint()).height()
    used = card.name.sizeHint().height() + card.facts.sizeHint().height()
    assert loaded - used <= 3 * card.fontMetrics().height()
    card.show_loading("R1 7B")
    card.show_progress(0.5)
    during = card.sizeHint().expandedTo(card.minimumSizeHint()).height()
    assert abs(during - loaded) <= card.fontMetrics().height() // 2
