"""A window that grew takes more of the budget, and never in the place of what the user chose."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from deepseek_r1.core.events import Bill, BillLine, ModelLoaded
from r1desk.model_controller import ModelController
from r1desk.preferences import Preferences


class Engine(QObject):
    """Takes requests and answers none."""

    event = Signal(int, object)
    failed = Signal(int, object)
    done = Signal(int)
    inspected = Signal(object)
    state_changed = Signal(object, str)

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[int, float]] = []

    def set_budget(self, memory_budget: int, window_mib: float) -> int:
        self.asked.append((memory_budget, window_mib))
        return len(self.asked)


def test_the_users_own_change_comes_first(qapp) -> None:
    engine = Engine()
    models = ModelController(engine, Preferences())
    lines = (BillLine(name="slots", planned_mib=40.0), BillLine(name="window", planned_mib=100.0))
    bill = Bill.model_construct(budget_mib=768, lines=lines)
    models.current = ModelLoaded.model_construct(bill=bill)
    models.set_budget(512)
    models.leave_to_window(20.0)  # the bill still says 768
    assert [mib for mib, _ in engine.asked] == [512]
    engine.done.emit(1)
    models.leave_to_window(20.0)
    assert engine.asked[1:] == [(768, 120.0)]
