"""How a file would run here: one answer, the measured one where there is one."""

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import QObject, Signal
from pytestqt.qtbot import QtBot

from deepseek_r1.catalogue import forecaster
from deepseek_r1.catalogue.download_spec import find_known
from deepseek_r1.catalogue.forecaster import Forecaster
from deepseek_r1.core import events
from deepseek_r1.core.child_call import ChildCall
from deepseek_r1.core.errors import ModelFileMissing, ModelFileUnreadable
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.memory.forecast import Forecast, format_fit
from deepseek_r1.memory.plan import ProcessOverhead, plan
from r1desk.engine.engine_bridge import BillReader
from r1desk.models import forecast_service as module
from r1desk.models.forecast_service import ForecastService
from r1desk.preferences import Preferences
from support.awaiting import result_of
from support.gguf_files import tiny_llama
from window.choosers import SPEED

SMALL = "deepseek-r1-distill-qwen-1.5b/Q4_K_M"
LARGE = "deepseek-r1-distill-qwen-7b/Q4_K_M"


class EngineStandIn(QObject):
    """An engine whose answers the test makes up."""

    model_loaded = Signal(object)
    event_received = Signal(object)

    def answer(
        self, name: str, tok_s: float, tokens: int = 101, *, streams: bool = False, drafted: int = 0
    ) -> None:
        """A model of the catalogue is loaded and writes an answer."""
        model, file = find_known(name)
        facts = events.ModelFacts(
            path=str(Path("/models") / file.file),
            name=model.name,
            architecture=model.architecture,
            file_mib=file.size_bytes / (1 << 20),
            parameters=model.parameters,
            quantisation=file.quantisation,
            context_length=4096,
            context_trained=4096,
            vocabulary=1,
            reasons=True,
            engine="llama.cpp",
        )
        bill = plan(model.header(file), LoadSettings(), ProcessOverhead()).bill
        self.model_loaded.emit(
            events.ModelLoaded(facts=facts, bill=bill, load_s=1.0, threads=2, threads_prefill=2)
        )
        stats = events.GenerationStats(
            finish_reason=events.FinishReason.STOP,
            completion_tokens=tokens,
            decode_s=(tokens - 1) / tok_s,
            accepted=drafted,
            weights=events.WeightsStats.model_construct() if streams else None,
        )
        self.event_received.emit(events.GenerationFinished(stats=stats))


@pytest.fixture(autouse=True)
def known_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecaster, "known_speed", lambda: SPEED)


@pytest.fixture
def engine() -> EngineStandIn:
    return EngineStandIn()


@pytest.fixture
def service(qtbot: QtBot, own_profile: Path, engine: EngineStandIn) -> ForecastService:
    return ForecastService(Preferences(load=LoadSettings(memory_budget=2048)), engine)


def forecast(qtbot: QtBot, service: ForecastService, name: str) -> Forecast:
    model, file = find_known(name)

    def question(forecaster: Forecaster) -> Iterator[Forecast]:
        yield forecaster.forecast(model.header(file))

    return result_of(service.ask(question))


def test_the_speed_of_an_answer_takes_the_place_of_the_estimate(qtbot, service, engine):
    before = forecast(qtbot, service, SMALL)
    assert not before.measured
    assert format_fit(before) == "fits · 9.4 tok/s"
    engine.answer(SMALL, 23.0)
    qtbot.waitUntil(lambda: forecast(qtbot, service, SMALL).measured)
    after = forecast(qtbot, service, SMALL)
    assert format_fit(after) == "fits · 23 tok/s, measured"
    assert after.bill == before.bill
    assert not forecast(qtbot, service, "deepseek-r1-distill-qwen-1.5b/Q5_K_M").measured


def test_it_is_remembered_and_the_last_answer_counts(qtbot, service, engine):
    later = ForecastService(Preferences(load=LoadSettings(memory_budget=2048)))
    for tok_s in (23.0, 14.0):
        engine.answer(SMALL, tok_s)
        known = partial(forecast, qtbot, later, SMALL)
        qtbot.waitUntil(lambda s=tok_s, known=known: known().tok_s == pytest.approx(s))


def test_a_speed_from_the_disk_holds_for_its_budget(qtbot, service, engine):
    engine.answer(LARGE, 1.5, streams=True)
    qtbot.waitUntil(lambda: forecast(qtbot, service, LARGE).measured)
    assert format_fit(forecast(qtbot, service, LARGE)) == "from the disk · 1.5 tok/s, measured"
    other = ForecastService(Preferences(load=LoadSettings(memory_budget=3000)))
    assert not forecast(qtbot, other, LARGE).measured


def test_a_short_answer_says_nothing_about_the_speed(qtbot, service, engine):
    engine.answer(SMALL, 500.0, tokens=4)
    engine.answer(LARGE, 1.5, streams=True)
    qtbot.waitUntil(lambda: forecast(qtbot, service, LARGE).measured)
    assert not forecast(qtbot, service, SMALL).measured


def test_an_answer_that_repeats_text_says_nothing_about_the_speed(qtbot, service, engine):
    engine.answer(SMALL, 249.0, drafted=60)
    engine.answer(LARGE, 1.5, streams=True)
    qtbot.waitUntil(lambda: forecast(qtbot, service, LARGE).measured)
    assert not forecast(qtbot, service, SMALL).measured


def test_a_question_that_hangs_holds_up_only_itself(qtbot, service, monkeypatch):
    monkeypatch.setattr(module, "TURN_S", 0.1)
    may_go = threading.Event()

    def hangs(_forecaster: Forecaster) -> Iterator[bool]:
        yield may_go.wait()

    hanging = [service.ask(hangs) for _ in range(module.AT_ONCE)]
    assert result_of(service.ask(lambda _forecaster: iter([1]))) == 1
    may_go.set()
    for answer in hanging:
        assert result_of(answer)


def test_few_questions_are_answered_at_once(qtbot: QtBot, service: ForecastService) -> None:
    at_work: list[int] = []
    most: list[int] = []

    def question(_forecaster: Forecaster) -> Iterator[int]:
        at_work.append(1)
        most.append(len(at_work))
        yield 1
        at_work.pop()

    for answer in [service.ask(question) for _ in range(8)]:
        result_of(answer)
    assert max(most) <= module.AT_ONCE


def test_a_file_that_cannot_be_read_is_a_failure_with_its_reason(qtbot, tmp_path):
    with pytest.raises(ModelFileMissing):
        result_of(BillReader().ask(tmp_path / "gone.gguf", LoadSettings(), 100.0))


def test_bills_start_one_process_at_a_time_which_ends_when_the_window_closes(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, paths = threading.Event(), [tmp_path / f"{n}.gguf" for n in range(3)]

    def hangs(process: ChildCall, message: object) -> None:
        """The process never gets to know of the file."""
        begun.set()

    monkeypatch.setattr(ChildCall, "send", hangs)
    bills, before = BillReader(), set(psutil.Process().children())
    requests = [bills.ask(tiny_llama(path), LoadSettings(), 100.0) for path in paths]
    begun.wait()
    (child,) = set(psutil.Process().children()) - before
    bills.close()
    for request in requests:
        with pytest.raises(ModelFileUnreadable):
            result_of(request)
    assert not child.is_running()
