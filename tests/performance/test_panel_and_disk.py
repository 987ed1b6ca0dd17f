"""The panel of a model that runs from the disk: it follows the budget at once."""

import pytest

from deepseek_r1.core.errors import EngineBusy
from deepseek_r1.core.settings import LoadSettings
from performance.samples import a_bill, a_model, a_streamed_bill, a_streamed_model, number
from r1desk.performance.widgets.load_section import PLAN_DELAY_MS
from r1desk.performance.widgets.panel import PerformancePanel

# Said by the offscreen platform about every window with a least size.
pytestmark = pytest.mark.qt_log_ignore("does not support propagateSizeHints")


def test_swap_to_disk_can_be_chosen_and_waits_for_a_reload(panel: PerformancePanel, qtbot):
    panel.load.rows["swap_enabled"].check.click()
    with qtbot.waitSignal(panel.settings_applied) as applied:
        panel.message.apply_button.click()
    assert applied.args == [LoadSettings(swap_enabled=True)]


def test_before_a_model_needs_it_the_row_says_what_swap_is_for(panel: PerformancePanel):
    swap = panel.load.rows["swap_enabled"].cost
    assert "larger than the memory budget" in swap.text()
    panel.show_plan(a_bill(), "")
    assert "larger than the memory budget" in swap.text()


def test_the_panel_says_what_swap_allows_and_what_more_memory_would_buy(panel: PerformancePanel):
    panel.show_plan(a_streamed_bill(), "")
    assert panel.load.rows["swap_enabled"].cost.text() == (
        "About 3.0 tok/s. 0.5 GB of the model stay in memory, 0.4 GB are read for each token."
    )
    budget = number(panel, "memory_budget").cost
    assert budget.text() == "With 0.2 GB more: 8.3 tok/s instead of 3.0"
    panel.load.set_settings(LoadSettings(swap_enabled=True))
    panel.show_plan(a_bill(), "")
    swap = panel.load.rows["swap_enabled"].cost
    assert swap.text() == "Not needed: the model fits in memory."


def test_the_bill_of_a_streamed_model_names_its_lines(panel: PerformancePanel):
    panel.show_plan(a_streamed_bill(), "")
    for line in ("Weights in memory", "Buffers for reading from the disk"):
        assert line in panel.bill.details.text()
    assert "Weights<" not in panel.bill.details.text()


def test_a_streaming_model_follows_the_budget_at_once(panel: PerformancePanel, qtbot):
    panel.show_model(a_streamed_model())
    received: list[int] = []
    panel.load.budget_changed.connect(received.append)
    for budget in (1800, 1500, 900):
        number(panel, "memory_budget").spin.setValue(budget)
    assert not panel.load.pending
    assert number(panel, "memory_budget").badge.isHidden()
    qtbot.waitUntil(lambda: bool(received))
    qtbot.wait(PLAN_DELAY_MS * 2)
    assert received == [900]


@pytest.mark.parametrize("budget", [1600, 1900, 3000])
def test_a_model_in_memory_follows_a_budget_that_holds_it(panel: PerformancePanel, qtbot, budget):
    panel.show_model(a_model())  # takes 1,580 MiB
    with qtbot.waitSignal(panel.load.budget_changed) as changed:
        number(panel, "memory_budget").spin.setValue(budget)
    assert changed.args == [budget]
    assert not panel.load.pending


def test_a_budget_too_small_for_a_model_in_memory_waits_for_a_reload(panel, qtbot):
    panel.show_model(a_streamed_model())
    panel.show_model(a_model())
    received: list[int] = []
    panel.load.budget_changed.connect(received.append)
    number(panel, "memory_budget").spin.setValue(900)
    qtbot.wait(PLAN_DELAY_MS * 2)
    assert received == []
    assert panel.load.pending


def test_a_dragged_budget_counts_where_the_slider_is_let_go(panel, qtbot):
    panel.show_model(a_model())  # takes 1,580 MiB, and follows what holds it
    received: list[int] = []
    panel.load.budget_changed.connect(received.append)
    row = number(panel, "memory_budget")

    def drag(*budgets: int) -> None:
        row.slider.setSliderDown(True)
        for budget in budgets:
            row.slider.setSliderPosition(row._steps.index(budget))
            assert row.value == budget, "the field follows"
        row.slider.setSliderDown(False)
        qtbot.wait(PLAN_DELAY_MS * 2)

    drag(1792, 3072)
    assert received == [3072]
    drag(2048, 1792, 512)
    assert received == [3072]
    panel.message.undo_button.click()
    assert row.value == 3072


def test_a_refused_budget_goes_back_to_what_is_in_force(panel: PerformancePanel, qtbot):
    panel.show_model(a_streamed_model())
    number(panel, "memory_budget").spin.setValue(256)
    panel.load.restore(LoadSettings())
    panel.show_plan_failed(EngineBusy().report())
    assert panel.load.pending
    assert not panel.message.apply_button.isEnabled()
    panel.message.undo_button.click()
    assert number(panel, "memory_budget").value == 2048


def test_a_moved_budget_shows_its_own_bill_also_after_the_plan(panel):
    loaded = a_streamed_model()
    panel.show_model(loaded)
    moved = a_streamed_bill(budget_mib=900)
    panel.show_budget(moved)
    assert "/ 0.9 GB" in panel.bill.total.text()
    panel.show_plan(a_streamed_bill(budget_mib=900).model_copy(update={"lines": ()}), "")
    assert len(panel.bill.bar.bill.lines) == len(moved.lines)  # the one in force, with its lines
