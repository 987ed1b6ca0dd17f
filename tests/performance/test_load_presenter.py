"""The panel shows the bill of the model that is being loaded, never that of the one before."""

from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QObject, Signal
from pytestqt.qtbot import QtBot

from deepseek_r1.core.errors import LoadStopped, ModelFileMissing
from deepseek_r1.core.events import Bill, LoadProgress
from deepseek_r1.host.protocol import EngineState, ErrorReply, LoadRequest
from performance.samples import a_bill, a_model
from r1desk.chat.messages.document_pane import DocumentPane
from r1desk.engine.engine_bridge import EngineRequest
from r1desk.models.controller import ModelController
from r1desk.models.forecast_service import ForecastService
from r1desk.models.pill_presenter import RecentModels
from r1desk.performance.feature import LoadPresenter
from r1desk.performance.widgets.load_section import LoadSection
from r1desk.performance.widgets.panel import PerformancePanel
from r1desk.platform.tasks import Later
from r1desk.preferences import Preferences

pytestmark = pytest.mark.qt_log_ignore("does not support propagateSizeHints")


class BillsStandIn:
    def ask(self, *_given: Any) -> Later:
        return Later()

    def with_disk_speed(self, bill: Bill) -> Bill:
        return bill


class EngineStandIn(QObject):
    """Records requests; the test emits their replies."""

    event_received = Signal(object)
    model_loaded = Signal(object)
    state_changed = Signal(object, str)

    def __init__(self) -> None:
        super().__init__()
        self.prompt_cache = None
        self.bills = BillsStandIn()
        self.state = EngineState.IDLE
        self.requests: list[tuple[type, EngineRequest]] = []
        self.fields: list[dict[str, Any]] = []

    def submit(self, kind: type, **fields: Any) -> EngineRequest:
        request = EngineRequest(len(self.requests) + 1, None)
        self.requests.append((kind, request))
        self.fields.append(fields)
        return request

    def last(self, kind: type) -> EngineRequest:
        return [request for each, request in self.requests if each is kind][-1]


class Case:
    def __init__(self, panel: PerformancePanel) -> None:
        self.panel = panel
        self.engine = EngineStandIn()
        preferences = Preferences()
        self.models = ModelController(self.engine, preferences)
        self.recent = RecentModels(self.models, preferences, ForecastService(preferences))
        self.models.load_started.disconnect(self.recent.refresh)
        self.models.loaded.disconnect(self.recent.refresh)  # it would look for files
        self.models.load_failed.disconnect(self.recent.refresh)
        self.models.gone.disconnect(self.recent.refresh)
        self.presenter = LoadPresenter(panel, self.models, self.recent, preferences)

    def accept(self, total_mib: float) -> None:
        """The model that is being loaded fits, with this bill."""
        lines = tuple(
            line.model_copy(update={"measured_mib": None, "planned_mib": total_mib / 7})
            for line in a_bill().lines
        )
        bill = a_bill().model_copy(update={"lines": lines})
        self.engine.last(LoadRequest).take(LoadProgress(fraction=0.0, bill=bill))

    def finish_load(self) -> None:
        """The model that is being loaded is there."""
        self.engine.last(LoadRequest).take(a_model())
        self.engine.model_loaded.emit(a_model())


@pytest.fixture
def case(panel: PerformancePanel) -> Case:
    made = Case(panel)
    made.engine.model_loaded.emit(a_model())
    return made


def test_a_load_shows_its_own_bill_with_nothing_measured(case: Case) -> None:
    before = case.panel.bill.total.text()
    case.models.choose(Path("other.gguf"))
    case.accept(700.0)
    assert case.panel.bill.total.text() != before
    assert "measured" not in case.panel.bill.details.text()


def test_after_a_refusal_the_bill_is_that_of_the_model_still_loaded(case: Case) -> None:
    shown = case.panel.bill.total.text()
    case.models.choose(Path("other.gguf"))
    case.engine.last(LoadRequest).close(
        ErrorReply(id=1, report=ModelFileMissing(path="other.gguf").report())
    )
    assert case.panel.bill.total.text() == shown


def test_after_a_load_that_failed_there_are_no_numbers(panel: PerformancePanel) -> None:
    case = Case(panel)
    case.models.choose(Path("other.gguf"))
    case.accept(700.0)
    case.engine.last(LoadRequest).close(ErrorReply(id=1, report=LoadStopped().report()))
    assert panel.bill.total.text() == "The memory bill appears once a model is chosen."


def test_a_budget_that_is_moved_during_a_load_waits_for_the_next_one(case: Case) -> None:
    case.models.choose(Path("other.gguf"))
    case.panel.load.rows["memory_budget"].spin.setValue(1500)
    case.finish_load()
    assert case.panel.load.rows["memory_budget"].spin.value() == 1500
    assert case.panel.load.pending
    assert case.models.edited.memory_budget == 1500


def test_a_budget_that_is_moved_after_the_engine_ended_is_that_of_the_next_load(case: Case) -> None:
    case.engine.state_changed.emit(EngineState.STOPPED, "")
    case.panel.load.rows["memory_budget"].spin.setValue(1500)
    case.models.ensure_loading()
    assert case.engine.fields[-1]["settings"].memory_budget == 1500


def test_what_waits_for_a_load_is_shown_in_a_new_window_too(case: Case, qtbot: QtBot) -> None:
    case.panel.load.rows["context_length"].spin.setValue(4096)
    other = PerformancePanel(DocumentPane(), LoadSection())
    qtbot.addWidget(other)
    LoadPresenter(other, case.models, case.recent, Preferences())
    assert other.load.rows["context_length"].spin.value() == 4096
    assert other.load.pending


def test_threads_that_are_changed_beside_waiting_settings_are_those_of_the_load(case: Case) -> None:
    case.panel.load.rows["context_length"].spin.setValue(4096)
    case.panel.load.rows["threads"].spin.setValue(1)
    assert (case.models.edited.threads, case.models.edited.context_length) == (1, 4096)
