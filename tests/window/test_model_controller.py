"""Which model is in use, what is remembered of a load, and what a refusal leaves as it was."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from PySide6.QtWidgets import QApplication

from deepseek_r1.core import errors, events
from deepseek_r1.core.settings import DraftMode, KVType, LoadSettings
from deepseek_r1.host import protocol
from deepseek_r1.host.protocol import EngineState, StateChanged
from r1desk.models.controller import ChosenTemplate, ModelController
from r1desk.models.refusal import Refusal, plain_way
from r1desk.platform.tasks import Later
from r1desk.preferences import Preferences
from support.engine_double import EngineDouble

ONE, TWO = Path("/models/one.gguf"), Path("/models/two.gguf")
SHORT = LoadSettings(context_length=512)
TOO_SMALL = errors.BudgetTooSmall(
    needed_mib=900, budget_mib=512, weights_mib=700, kv_mib=150, rest_mib=50, advice=""
)


def bill(budget_mib: float = 2048.0, **lines: float) -> events.Bill:
    sizes = lines or {"weights": 700.0, "window": 100.0}
    planned = tuple(
        events.BillLine(name=events.BillItem(name), planned_mib=mib) for name, mib in sizes.items()
    )
    return events.Bill(lines=planned, budget_mib=budget_mib)


class Models:
    """The controller, with the test as the engine."""

    def __init__(self) -> None:
        self.engine, self.stored = EngineDouble(), Preferences(model_path=str(ONE))
        self.models = ModelController(self.engine.bridge, self.stored)
        self.failures: list[str] = []
        self.refusals: list[Refusal] = []
        self.models.load_failed.connect(lambda report: self.failures.append(report.code))
        self.models.refused.connect(self.refusals.append)

    @property
    def asked(self) -> protocol.LoadRequest:
        """The load that was asked for last."""
        request: protocol.LoadRequest = self.engine.of_kind(protocol.LoadRequest)[-1]
        return request

    def event(self, event: events.Event) -> None:
        """An event of that load."""
        self.engine.reply(protocol.EventReply(id=self.asked.id, event=event))

    def succeed(self, of: events.Bill | None = None) -> None:
        """Let that load succeed."""
        self.event(events.LoadProgress(fraction=0.0))
        self.finish(self.asked, of)

    def finish(self, load: protocol.LoadRequest, of: events.Bill | None = None) -> None:
        """The model of a load is there."""
        facts = events.ModelFacts(
            path=load.path, name=Path(load.path).stem, architecture="llama",
            file_mib=1, parameters=1, quantisation="Q4_K_M", context_length=512,
            context_trained=8192, vocabulary=1, reasons=False, engine="",
        )  # fmt: skip
        loaded = events.ModelLoaded(
            facts=facts, bill=of or bill(), load_s=0, threads=1, threads_prefill=1
        )
        self.engine.reply(protocol.EventReply(id=load.id, event=loaded))
        self.engine.reply(protocol.DoneReply(id=load.id))

    def fail(self, error: errors.R1Error) -> None:
        """Let that load be refused."""
        self.engine.reply(protocol.ErrorReply(id=self.asked.id, report=error.report()))

    def load(self, path: Path = ONE) -> None:
        """Load a model."""
        self.models.choose(path)
        self.succeed()


@pytest.fixture
def one(qapp: QApplication) -> Models:
    """A model is loaded."""
    made = Models()
    made.load()
    return made


def test_a_question_that_waits_loads_the_remembered_model_once(qapp: QApplication) -> None:
    made = Models()
    made.models.ensure_loading()
    made.models.ensure_loading()
    assert [request.path for request in made.engine.of_kind(protocol.LoadRequest)] == [str(ONE)]
    made.succeed()
    made.models.ensure_loading()
    assert len(made.engine.of_kind(protocol.LoadRequest)) == 1
    assert made.models.ready


def test_another_model_is_remembered_once_it_has_loaded(one: Models) -> None:
    one.models.choose(TWO)
    assert (one.models.next_path, one.models.loaded_path) == (TWO, ONE)
    assert one.stored.model_path == str(ONE)
    one.event(events.LoadProgress(fraction=0.5))
    assert one.models.current is None, "the engine has unloaded the model before it"
    one.succeed()
    assert one.models.loaded_path == TWO
    assert one.stored.model_path == str(TWO)
    assert one.stored.recent_models == [str(TWO), str(ONE)]


def test_a_refused_model_leaves_the_one_before_in_use(one: Models) -> None:
    one.models.choose(TWO)
    one.fail(errors.ModelLoadFailed(path=str(TWO), detail="no"))
    assert one.failures == ["ModelLoadFailed"]
    assert (one.models.loaded_path, one.models.ready) == (ONE, True)
    assert one.stored.model_path == str(ONE)
    assert one.stored.recent_models == [str(ONE)]


def test_a_second_choice_takes_the_place_of_the_first(one: Models) -> None:
    one.models.choose(TWO)
    first = one.asked
    one.models.choose(ONE)
    assert one.engine.of_kind(protocol.CancelRequest)[-1].id == first.id
    one.engine.reply(
        protocol.ErrorReply(id=first.id, report=errors.ModelLoadFailed(path="", detail="").report())
    )
    assert one.failures == []
    one.succeed()
    assert one.models.loaded_path == ONE


def test_settings_are_in_force_once_a_model_has_loaded_with_them(one: Models) -> None:
    back: list[LoadSettings] = []
    one.models.settings_refused.connect(back.append)
    before = one.stored.load
    one.models.apply(SHORT)
    one.fail(errors.ModelLoadFailed(path=str(ONE), detail="no"))
    assert (one.stored.load, back) == (before, [before])
    one.models.apply(SHORT)
    assert one.stored.load == before
    one.succeed()
    assert one.stored.load == SHORT
    assert one.asked.settings == SHORT


def test_an_engine_that_ended_has_no_model(one: Models) -> None:
    one.engine.reply(StateChanged(EngineState.STOPPED, ""))
    assert one.models.current is None


def test_a_load_takes_the_settings_that_the_panel_shows(one: Models) -> None:
    from_disk = LoadSettings(swap_enabled=True)
    one.models.edited = from_disk
    one.models.choose(TWO)
    assert one.asked.settings == from_disk
    one.succeed()
    assert one.stored.load == from_disk


def test_the_context_of_one_model_is_not_that_of_the_next(one: Models) -> None:
    longer = LoadSettings(context_length=32_768, kv_type=KVType.Q8_0, memory_budget=4096)
    one.models.apply(longer)
    one.succeed()
    one.load(TWO)
    assert one.stored.load == LoadSettings(memory_budget=4096)
    one.load(ONE)
    assert one.stored.load == longer


def test_a_context_the_model_was_not_trained_for_offers_a_shorter_one(one: Models) -> None:
    one.models.apply(LoadSettings(context_length=9000))
    one.fail(errors.ContextTooLarge(asked=9000, trained=8192))
    found = plain_way(one.refusals[0])
    assert found is not None
    assert [*found.ways.values()] == [LoadSettings(context_length=8192)]


def test_a_draft_model_that_does_not_suit_can_be_left_out(one: Models) -> None:
    one.models.apply_draft(Path("/models/draft.gguf"))
    one.fail(errors.DraftUnfit(path="/models/draft.gguf", detail="no"))
    found = plain_way(one.refusals[0])
    assert found is not None
    assert [way.draft_model for way in found.ways.values()] == [""]


def test_a_model_whose_own_template_cannot_be_used_is_told(one: Models) -> None:
    one.models.choose(TWO)
    one.fail(errors.TemplateUnusable(detail="line 1"))
    assert [(each.path, each.own_template) for each in one.refusals] == [(TWO, True)]
    one.models.choose_template(ONE, ChosenTemplate("llama3"))
    one.fail(errors.TemplateUnusable(detail="line 1"))
    assert not one.refusals[1].own_template, "this one was chosen"
    assert one.stored.chat_templates == {}


def test_a_chosen_template_is_remembered_for_its_model(one: Models) -> None:
    one.models.choose_template(ONE, ChosenTemplate("llama3"))
    assert one.asked.chat_template == "llama3"
    one.succeed()
    assert one.stored.chat_templates == {str(ONE): "llama3"}
    one.models.choose(TWO)
    assert one.asked.chat_template == ""


def test_each_model_keeps_its_own_draft_model(one: Models) -> None:
    one.load(TWO)
    one.models.apply_draft(Path("/models/draft.gguf"))
    one.succeed()
    one.load(ONE)
    assert one.stored.load.draft_model == ""
    one.models.choose(TWO)
    assert one.asked.settings.draft_model == "/models/draft.gguf"


def test_a_draft_model_that_is_applied_is_used_although_drafts_were_off(one: Models) -> None:
    one.stored.load = LoadSettings(drafts=DraftMode.LOOKUP)
    one.models.apply_draft(Path("/models/draft.gguf"))
    assert one.asked.settings.drafts is DraftMode.AUTO


def test_a_model_that_writes_or_is_on_its_way_is_not_unloaded(one: Models) -> None:
    one.engine.reply(StateChanged(EngineState.GENERATING, ""))
    one.models.unload()
    one.engine.reply(StateChanged(EngineState.IDLE, ""))
    one.models.choose(TWO)
    one.models.unload()
    assert one.engine.of_kind(protocol.UnloadRequest) == []
    one.succeed()
    one.models.unload()
    assert (one.models.current, one.models.resting) == (None, True)
    one.models.ensure_loading()
    assert one.asked.path == str(TWO)


def test_a_budget_is_remembered_once_it_is_in_force(one: Models) -> None:
    one.models.live.set_budget(4096)
    request = one.engine.of_kind(protocol.SetBudgetRequest)[-1]
    assert one.stored.load.memory_budget == LoadSettings().memory_budget
    one.engine.reply(
        protocol.EventReply(id=request.id, event=events.BudgetChanged(bill=bill(4096.0)))
    )
    one.engine.reply(protocol.DoneReply(id=request.id))
    assert one.stored.load.memory_budget == 4096
    assert one.models.current is not None
    assert one.models.current.bill.budget_mib == 4096
    one.models.live.set_budget(300)
    request = one.engine.of_kind(protocol.SetBudgetRequest)[-1]
    one.engine.reply(protocol.ErrorReply(id=request.id, report=TOO_SMALL.report()))
    assert one.stored.load.memory_budget == 4096


def test_a_bill_of_the_budget_before_is_not_shown_after_a_change(one: Models, monkeypatch) -> None:
    asked, shown = Later[SimpleNamespace](), []
    monkeypatch.setattr(one.models.live._engine.bills, "ask", lambda *_asked: asked)
    one.models.live.planned.connect(lambda *planned: shown.append(planned))
    one.models.live.plan(one.stored.load)
    one.models.live.set_budget(4096)
    advice = SimpleNamespace(text="")
    asked.give(SimpleNamespace(bill=bill(768.0), advice=advice, fits_with=None))
    assert shown == []


def test_a_window_that_grew_gets_more_but_not_in_the_place_of_the_users_choice(qapp):
    made = Models()
    made.models.ensure_loading()
    made.succeed(bill(768.0, slots=40.0, window=100.0))
    made.models.live.set_budget(512)
    made.models.live.grow_window_share(20.0)  # the bill still says 768
    budgets = made.engine.of_kind(protocol.SetBudgetRequest)
    assert [request.memory_budget for request in budgets] == [512]
    made.engine.reply(protocol.DoneReply(id=budgets[0].id))
    made.models.live.grow_window_share(20.0)
    last = made.engine.of_kind(protocol.SetBudgetRequest)[-1]
    assert (last.memory_budget, last.window_mib) == (768, 120.0)


def test_memory_for_documents_that_was_refused_is_not_taken_back_later(qapp):
    made = Models()
    made.models.ensure_loading()
    made.succeed(bill(768.0, slots=40.0, window=100.0))

    def reduced(mib: float, reply: errors.R1Error | None) -> float:
        """Let the engine reply; returns the window's share that it was asked for."""
        asking = made.models.reduce_weights(mib)
        asking.send(None)
        request = made.engine.of_kind(protocol.SetBudgetRequest)[-1]
        if reply is not None:
            made.engine.reply(protocol.ErrorReply(id=request.id, report=reply.report()))
        else:
            now = bill(768.0, slots=40.0, window=request.window_mib)
            changed = events.BudgetChanged(bill=now)
            made.engine.reply(protocol.EventReply(id=request.id, event=changed))
            made.engine.reply(protocol.DoneReply(id=request.id))
        with pytest.raises(StopIteration if reply is None else errors.BudgetTooSmall):
            asking.send(None)
        return request.window_mib

    assert reduced(400.0, TOO_SMALL) == 500.0
    assert reduced(60.0, None) == 160.0
    assert reduced(0.0, None) == 100.0


def test_a_load_that_ends_after_another_was_chosen_leaves_the_chosen_one_on_its_way(one):
    one.models.load(ONE, SHORT)
    overtaken = one.asked
    one.models.choose(TWO)
    chosen = one.asked
    one.finish(overtaken)
    assert one.models.next_path == TWO
    assert one.models.loading
    one.finish(chosen)
    assert (one.models.loaded_path, one.models.ready) == (TWO, True)
    assert one.stored.model_path == str(TWO)


def test_what_is_changed_during_a_load_is_in_force_after_it(one: Models) -> None:
    one.models.choose(TWO)
    one.models.live.set_threads(1, 1)
    one.models.live.set_budget(3000)
    assert one.engine.of_kind(protocol.SetThreadsRequest) == []
    one.succeed()
    (threads,) = one.engine.of_kind(protocol.SetThreadsRequest)
    (budget,) = one.engine.of_kind(protocol.SetBudgetRequest)
    assert (threads.threads, budget.memory_budget) == (1, 3000)


def test_what_is_changed_during_a_load_that_fails_holds_for_the_model_that_stays(one):
    one.models.choose(TWO)
    for threads in (1, 2):
        one.models.live.set_threads(threads, threads)
    one.fail(errors.ModelFileMissing(path=str(TWO)))
    (changed,) = one.engine.of_kind(protocol.SetThreadsRequest)
    assert (changed.threads, one.models.loaded_path) == (2, ONE)


def test_an_answer_has_the_name_of_the_model_that_is_being_loaded_for_it(one: Models) -> None:
    one.models.choose(TWO)
    assert one.models.name == TWO.stem


def test_a_model_that_was_loaded_before_keeps_the_name_in_its_file(one: Models) -> None:
    one.load(TWO)
    one.load(ONE)
    one.models.choose(TWO)
    assert one.models.name == "two Q4_K_M"
    assert one.stored.model_titles == {str(ONE): "one Q4_K_M", str(TWO): "two Q4_K_M"}
