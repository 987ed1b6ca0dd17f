"""A window that grew gets more of the budget, and never in the place of what the user chose."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QObject, Signal

from deepseek_r1.core.events import Bill, BillLine, ModelLoaded
from deepseek_r1.host.protocol import DoneReply, SetBudgetRequest
from r1desk.engine.engine_bridge import EngineRequest
from r1desk.models.controller import ModelController
from r1desk.preferences import Preferences


class SilentEngine(QObject):
    """Records requests and answers none."""

    model_loaded = Signal(object)
    state_changed = Signal(object, str)

    def __init__(self) -> None:
        super().__init__()
        self.budgets: list[tuple[int, float]] = []
        self.requests: list[EngineRequest] = []

    def submit(self, kind: type, **fields: Any) -> EngineRequest:
        assert kind is SetBudgetRequest
        self.budgets.append((fields["memory_budget"], fields["window_mib"]))
        self.requests.append(EngineRequest(len(self.requests) + 1, None))
        return self.requests[-1]


def test_the_users_own_change_comes_first(qapp) -> None:
    engine = SilentEngine()
    models = ModelController(engine, Preferences())
    lines = (BillLine(name="slots", planned_mib=40.0), BillLine(name="window", planned_mib=100.0))
    bill = Bill.model_construct(budget_mib=768, lines=lines)
    models.current = ModelLoaded.model_construct(bill=bill)
    models.set_budget(512)
    models.grow_window_share(20.0)  # the bill still says 768
    assert [mib for mib, _ in engine.budgets] == [512]
    engine.requests[0].done.emit(DoneReply(id=1))
    models.grow_window_share(20.0)
    assert engine.budgets[1:] == [(768, 120.0)]
