"""The queue returns what to send and what to answer; it neither sends nor answers by itself."""

import pytest
from pydantic import BaseModel

from deepseek_r1.core import frames
from deepseek_r1.core.errors import EngineDied, EngineFailed
from deepseek_r1.core.events import (
    Event,
    FinishReason,
    GenerationFinished,
    GenerationStats,
    GraphicsUse,
    LoadProgress,
    ModelLoaded,
)
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.host.protocol import (
    CancelRequest,
    CountTokensRequest,
    DoneReply,
    EndThinkingRequest,
    EngineState,
    ErrorReply,
    EventReply,
    GenerateRequest,
    LoadRequest,
    PrepareRequest,
    PromptCacheFolder,
    RetainPromptsRequest,
    SetThreadsRequest,
    UnloadRequest,
    request_adapter,
)
from deepseek_r1.host.request_queue import QueueOutput, RequestQueue
from deepseek_r1.memory.load_plan import OtherModels, plan_load
from host.scripted_engine import LOADED
from memory.headers import OVERHEAD, header

LOAD = LoadRequest(id=1, path="model.gguf")
GONE = EngineDied(how="SIGSEGV", detail="").report()


@pytest.fixture(autouse=True)
def identities(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What paths name at present, where it is not what their name says."""
    found: dict[str, str] = {}
    there = "deepseek_r1.host.process_model.file_identity"
    monkeypatch.setattr(there, lambda path: found.get(path, path))
    return found


def sent(output: QueueOutput) -> list[BaseModel]:
    return [frames.parse(frame[4:], request_adapter) for frame in output.frames]


def question(request_id: int, text: str = "Hello") -> GenerateRequest:
    return GenerateRequest(id=request_id, messages=(Message(role=Role.USER, content=text),))


def loading() -> RequestQueue:
    queue = RequestQueue(cancel_s=5.0)
    queue.submit(LOAD, 0.0)
    queue.on_engine_ready(0.0)
    return queue


def with_model(*events: Event) -> RequestQueue:
    queue = loading()
    for event in events or [LOADED]:
        queue.on_reply(EventReply(id=1, event=event), 1.0)
    queue.on_reply(DoneReply(id=1), 1.0)
    return queue


def codes(output: QueueOutput) -> list[str]:
    return [reply.report.code for reply in output.replies]


def test_a_request_before_the_handshake_waits_for_it() -> None:
    queue = RequestQueue(cancel_s=5.0)
    assert queue.submit(LOAD, 0.0) == QueueOutput()
    assert queue.needs_engine
    assert sent(queue.on_engine_ready(0.0)) == [LOAD]
    assert not queue.needs_engine


def test_an_answer_waits_behind_a_load_that_is_not_sent_yet() -> None:
    queue = RequestQueue(cancel_s=5.0)
    queue.submit(LOAD, 0.0)
    queue.submit(question(2), 0.0)
    assert sent(queue.on_engine_ready(0.0)) == [LOAD, question(2)]


def test_without_a_model_an_answer_is_refused_at_once() -> None:
    output = RequestQueue(cancel_s=5.0).submit(question(1), 0.0)
    assert codes(output) == ["ModelNotLoaded"]


def test_a_second_answer_is_refused_while_the_first_is_open() -> None:
    queue = with_model()
    queue.submit(question(2), 1.0)
    output = queue.submit(question(3), 1.0)
    assert output.frames == []
    assert codes(output) == ["EngineBusy"]


def test_an_answer_follows_another_whose_closing_reply_is_still_missing() -> None:
    queue = with_model()
    queue.submit(question(2), 1.0)
    stats = GenerationStats(finish_reason=FinishReason.CANCELLED)
    queue.on_reply(EventReply(id=2, event=GenerationFinished(stats=stats)), 2.0)
    assert sent(queue.submit(question(3), 2.0)) == [question(3)]
    queue.on_reply(DoneReply(id=2), 2.0)
    assert queue.in_flight.ids() == (3,)


def test_a_message_that_is_too_long_fails_and_the_next_one_is_sent() -> None:
    queue = with_model()
    output = queue.submit(question(2, "x" * frames.TO_CHILD_CAP), 1.0)
    assert output.frames == []
    assert codes(output) == ["WrongUsage"]
    assert sent(queue.submit(question(3), 1.0)) == [question(3)]


def test_after_a_crash_the_model_is_loaded_again_with_the_threads_changed_since() -> None:
    queue = with_model()
    queue.submit(SetThreadsRequest(id=2, threads=3, threads_prefill=4), 2.0)
    failed = queue.on_engine_lost(GONE)
    assert failed.replies == [ErrorReply(id=2, report=GONE)]
    queue.submit(question(3), 3.0)
    (reload,) = sent(queue.on_engine_ready(4.0))
    assert reload.path == LOAD.path
    assert reload.settings == LoadSettings(threads=3, threads_prefill=4)
    progress = LoadProgress(fraction=0.5)
    events = queue.on_reply(EventReply(id=reload.id, event=progress), 4.0)
    assert events.replies == [EventReply(id=3, event=progress)], "it belongs to the question"
    loaded: ModelLoaded = LOADED
    queue.on_reply(EventReply(id=reload.id, event=loaded), 5.0)
    assert sent(queue.on_reply(DoneReply(id=reload.id), 5.0)) == [question(3)]


def test_a_file_that_crashed_the_engine_is_not_loaded_again() -> None:
    queue = loading()
    queue.on_engine_lost(GONE)
    output = queue.submit(question(2), 1.0)
    assert codes(output) == ["ModelNotLoaded"]


def test_a_reload_that_fails_fails_the_question_that_needs_it() -> None:
    queue = with_model()
    queue.on_engine_lost(GONE)
    queue.submit(question(2), 2.0)
    (reload,) = sent(queue.on_engine_ready(2.0))
    report = EngineFailed(detail="no").report()
    output = queue.on_reply(ErrorReply(id=reload.id, report=report), 3.0)
    assert output.replies == [ErrorReply(id=2, report=report)]


def test_cancelling_a_question_that_waits_for_a_reload_cancels_the_reload() -> None:
    queue = with_model()
    queue.on_engine_lost(GONE)
    queue.submit(question(2), 2.0)
    (reload,) = sent(queue.on_engine_ready(2.0))
    output = queue.cancel(2, 3.0)
    assert sent(output) == [CancelRequest(id=reload.id)]
    assert [reply.kind for reply in output.replies] == ["event", "done"]


def preparation(request_id: int) -> PrepareRequest:
    messages = question(0).messages
    return PrepareRequest(id=request_id, messages=messages, owner="1", compute=True)


def close(queue: RequestQueue, request_id: int) -> QueueOutput:
    """The engine finishes an answer."""
    stats = GenerationStats(finish_reason=FinishReason.STOP)
    queue.on_reply(EventReply(id=request_id, event=GenerationFinished(stats=stats)), 2.0)
    return queue.on_reply(DoneReply(id=request_id), 2.0)


def test_a_question_ends_the_preparation_that_runs() -> None:
    queue = with_model()
    assert sent(queue.submit(preparation(2), 1.0)) == [preparation(2)]
    assert sent(queue.submit(question(3), 1.0)) == [CancelRequest(id=2), question(3)]


def test_a_preparation_waits_for_the_answer_and_is_replaced_by_the_next() -> None:
    queue = with_model()
    queue.submit(question(2), 1.0)
    assert queue.submit(preparation(3), 1.0) == QueueOutput()
    replaced = queue.submit(preparation(4), 1.0)
    assert replaced.replies == [DoneReply(id=3)]
    assert sent(replaced) == []
    assert sent(close(queue, 2)) == [preparation(4)]


def test_a_preparation_waits_for_the_load_and_ends_with_the_model() -> None:
    queue = loading()
    assert sent(queue.submit(preparation(2), 0.0)) == []
    queue.on_reply(EventReply(id=1, event=LOADED), 1.0)
    assert sent(queue.on_reply(DoneReply(id=1), 1.0)) == [preparation(2)]
    lost = queue.on_engine_lost(GONE)
    assert [reply.id for reply in lost.replies] == [2]
    again = queue.submit(preparation(3), 2.0)  # nobody loads a model for it
    assert not sent(queue.on_engine_ready(2.0))
    assert not sent(again)


def test_a_preparation_that_is_cancelled_while_it_waits_is_done() -> None:
    queue = with_model()
    queue.submit(question(2), 1.0)
    queue.submit(preparation(3), 1.0)
    assert queue.cancel(3, 1.0).replies == [DoneReply(id=3)]
    assert sent(close(queue, 2)) == []


def test_deleting_prompts_ends_no_preparation() -> None:
    queue = with_model()
    queue.submit(preparation(2), 1.0)
    folder = PromptCacheFolder(path="prompts")
    delete = RetainPromptsRequest(id=3, folder=folder, owners=())
    assert sent(queue.submit(delete, 1.0)) == [delete]


def test_the_thinking_of_an_answer_is_ended_where_it_is_computed() -> None:
    queue = with_model()
    queue.submit(question(2), 2.0)
    assert sent(queue.end_thinking(2)) == [EndThinkingRequest(id=2)]
    assert queue.end_thinking(3) == QueueOutput()  # no answer


def test_an_answer_that_waits_does_not_think_once_its_thinking_was_ended() -> None:
    queue = RequestQueue(cancel_s=5.0)
    queue.submit(LOAD, 0.0)
    queue.submit(question(2), 0.0)
    assert queue.end_thinking(2) == QueueOutput()
    request = sent(queue.on_engine_ready(0.0))[1]
    assert isinstance(request, GenerateRequest)
    assert request.sampling.thinking_budget == 0


def yielding(request_id: int) -> GenerateRequest:
    return question(request_id).model_copy(update={"yields": True})


def test_an_answer_that_yields_is_cancelled_for_another_which_is_not_refused() -> None:
    queue = with_model()
    queue.submit(yielding(2), 1.0)
    assert sent(queue.submit(question(3), 1.0)) == [CancelRequest(id=2), question(3)]
    output = queue.submit(yielding(4), 1.0)
    assert codes(output) == ["EngineBusy"]


def test_an_answer_that_yields_is_cancelled_for_a_load_but_not_for_a_count() -> None:
    queue = with_model()
    queue.submit(yielding(2), 1.0)
    count = CountTokensRequest(id=3, messages=())
    assert sent(queue.submit(count, 1.0)) == [count]
    load = LoadRequest(id=4, path="other.gguf")
    assert sent(queue.submit(load, 1.0)) == [CancelRequest(id=2), load]


def test_only_one_of_two_answers_that_yield_is_taken() -> None:
    queue = with_model()
    queue.submit(yielding(2), 1.0)
    output = queue.submit(yielding(3), 1.0)
    assert codes(output) == ["EngineBusy"]


# ---- one process a model ----------------------------------------------------------------------

OTHER = LoadRequest(id=20, path="other.gguf")
PLAN = plan_load(
    header(), LoadSettings(memory_budget=4096), OVERHEAD, OtherModels(None, None, GraphicsUse())
)
PLANNED = OTHER.model_copy(update={"plan": PLAN})


def with_opened_model(loaded: ModelLoaded = LOADED) -> RequestQueue:
    return with_model(LoadProgress(fraction=0.0), loaded)


def test_another_load_is_checked_and_sent_to_the_next_process() -> None:
    queue = with_opened_model()
    output = queue.submit(OTHER, 2.0)
    assert output == QueueOutput(check=OTHER)
    assert queue.activity is EngineState.LOADING
    assert queue.on_load_checked(20, PLAN, 2.0) == QueueOutput(replace=True)
    assert sent(queue.on_engine_ready(3.0)) == [PLANNED]


def test_while_a_load_waits_for_an_answer_the_engine_is_at_the_answer() -> None:
    queue = with_opened_model()
    queue.submit(question(19), 2.0)
    queue.submit(OTHER, 2.0)
    assert queue.activity is EngineState.GENERATING
    queue.on_load_checked(20, PLAN, 2.0)
    assert queue.activity is EngineState.GENERATING
    assert close(queue, 19).replace
    assert queue.activity is EngineState.LOADING


def test_a_load_that_the_check_refuses_leaves_the_model() -> None:
    queue = with_opened_model()
    queue.submit(OTHER, 2.0)
    refused = ErrorReply(id=20, report=GONE)
    assert queue.on_load_checked(20, GONE, 2.0) == QueueOutput(replies=[refused])
    assert queue.activity is EngineState.IDLE
    assert sent(queue.submit(question(21), 3.0)) == [question(21)]


def test_an_answer_that_yields_is_cancelled_once_the_file_is_accepted() -> None:
    queue = with_opened_model()
    queue.submit(yielding(2), 2.0)
    assert sent(queue.submit(OTHER, 2.0)) == []
    assert sent(queue.on_load_checked(20, PLAN, 3.0)) == [CancelRequest(id=2)]
    assert close(queue, 2).replace


def test_a_question_behind_a_load_goes_to_the_next_process() -> None:
    queue = with_opened_model()
    queue.submit(OTHER, 2.0)
    assert queue.submit(question(21), 2.0) == QueueOutput()
    queue.on_load_checked(20, PLAN, 2.0)
    assert sent(queue.on_engine_ready(3.0)) == [PLANNED, question(21)]


def test_a_cancelled_load_lets_what_is_behind_it_go_to_the_present_model() -> None:
    queue = with_opened_model()
    queue.submit(OTHER, 2.0)
    queue.submit(question(21), 2.0)
    output = queue.cancel(20, 2.0)
    assert codes(output) == ["LoadStopped"]
    assert sent(output) == [question(21)]
    assert queue.on_load_checked(20, PLAN, 3.0) == QueueOutput()


def test_without_a_model_the_process_is_replaced_unchecked() -> None:
    queue = with_opened_model()
    queue.submit(UnloadRequest(id=2), 2.0)
    queue.on_reply(DoneReply(id=2), 2.0)
    assert queue.submit(OTHER, 3.0) == QueueOutput(replace=True)


def test_a_refused_first_load_leaves_the_process_free_for_another() -> None:
    queue = loading()
    queue.on_reply(ErrorReply(id=1, report=GONE), 1.0)
    assert sent(queue.submit(OTHER, 2.0)) == [OTHER]


def test_the_same_model_is_loaded_again_by_the_same_process() -> None:
    queue = with_opened_model()
    again = LoadRequest(id=20, path=LOAD.path, settings=LoadSettings(context_length=1024))
    assert sent(queue.submit(again, 2.0)) == [again]
    with_prompts = again.model_copy(
        update={"id": 21, "prompt_cache": PromptCacheFolder(path="prompts")}
    )
    queue = with_opened_model()
    assert queue.submit(with_prompts, 2.0).check == with_prompts


def test_an_old_file_is_loaded_again_by_a_fresh_process() -> None:
    """The engine for old files leaves something of each load behind."""
    facts = LOADED.facts.model_copy(update={"engine": "ctransformers 0.2.27"})
    loaded = LOADED.model_copy(update={"facts": facts})
    queue = loading()
    queue.on_reply(EventReply(id=1, event=LoadProgress(fraction=0.0)), 1.0)
    queue.on_reply(EventReply(id=1, event=loaded), 1.0)
    queue.on_reply(DoneReply(id=1), 1.0)
    again = LOAD.model_copy(update={"id": 20})
    assert queue.submit(again, 2.0).check == again
    assert queue.on_load_checked(20, PLAN, 2.0).replace
    assert sent(queue.on_engine_ready(3.0)) == [again.model_copy(update={"plan": PLAN})]


def test_a_file_that_took_the_models_place_is_another_model(identities: dict[str, str]) -> None:
    queue = with_opened_model()
    identities[LOAD.path] = "second"
    assert queue.submit(LoadRequest(id=20, path=LOAD.path), 2.0).check


def test_an_engine_that_dies_fails_the_load_that_waits_for_its_check() -> None:
    queue = with_opened_model()
    queue.submit(OTHER, 2.0)
    assert [reply.id for reply in queue.on_engine_lost(GONE).replies] == [20]
    assert queue.on_load_checked(20, PLAN, 3.0) == QueueOutput()
