"""The pure parts: silence, restarts, exits, and which reply may come when."""

from __future__ import annotations

import signal

import pytest

from deepseek_r1.core.errors import (
    EngineDied,
    EngineFailed,
    EngineOutOfMemory,
    ErrorReport,
    ProtocolBroken,
)
from deepseek_r1.core.events import (
    AnswerDelta,
    Bill,
    FinishReason,
    GenerationFinished,
    GenerationStats,
    LoadProgress,
    ModelFacts,
    ModelLoaded,
)
from deepseek_r1.host.exits import classify, last_words
from deepseek_r1.host.ledger import Ledger
from deepseek_r1.host.protocol import (
    Counted,
    CountTokens,
    Done,
    EventFrame,
    Failed,
    Generate,
    Inspect,
    Inspected,
    Load,
    SetThreads,
)
from deepseek_r1.host.watch import HangLimits, Ladder, RestartBudget, Step, Watch

# ---- silence --------------------------------------------------------------------------------


def checks(watch: Watch, until: float, heard_at, moved_at) -> float | None:
    """Check whenever the watch wants to; the time of the verdict, or None by `until`."""
    while watch.next_at <= until:
        now = watch.next_at
        if watch.hung_for(now, heard_at(now), moved_at(now)) is not None:
            return now
    return None


def test_a_silent_process_is_hung_after_ten_seconds_and_a_second_check():
    verdict = checks(Watch(HangLimits(), 0.0), 60, lambda _: 0.0, lambda _: 0.0)
    assert 11 <= verdict <= 13


def test_an_idle_process_without_beats_is_hung_too():
    verdict = checks(Watch(HangLimits(), 0.0), 60, lambda _: 0.0, lambda _: None)
    assert 11 <= verdict <= 16


def test_beats_without_a_moving_loop_are_hung_after_a_minute():
    verdict = checks(Watch(HangLimits(), 0.0), 200, lambda now: now, lambda _: 0.0)
    assert 61 <= verdict <= 63


def test_an_idle_engine_that_beats_is_never_hung():
    assert checks(Watch(HangLimits(), 0.0), 1000, lambda now: now - 2, lambda _: None) is None


def test_one_missed_check_is_not_enough():
    watch = Watch(HangLimits(), 0.0)
    while watch.next_at < 11:
        watch.hung_for(watch.next_at, 0.0, None)
    assert watch.hung_for(11.0, 0.0, None) is None
    assert watch.hung_for(12.0, 12.0, None) is None
    assert watch.hung_for(13.0, 13.0, None) is None


@pytest.mark.parametrize("moved_at", [None, 100.0])
def test_a_night_of_sleep_is_not_the_engines_silence(moved_at):
    watch = Watch(HangLimits(), 100.0)
    assert watch.hung_for(101.0, 100.5, moved_at) is None
    woke = 101.0 + 8 * 3600
    assert watch.hung_for(woke, 100.5, moved_at) is None
    assert watch.hung_for(woke + 1, 100.5, moved_at) is None
    verdict = checks(watch, woke + 100, lambda _: 100.5, lambda _: moved_at)
    assert 10 <= verdict - woke <= 16  # and one that does not wake up is noticed


def test_the_ladder_goes_up_and_stays_at_the_top():
    ladder = Ladder(EngineFailed(), Step.CANCEL, due_at=5.0)
    assert [ladder.climb(now) for now in (5.0, 7.0, 8.0, 13.0)] == [
        Step.CANCEL, Step.TERMINATE, Step.KILL, Step.KILL,
    ]  # fmt: skip


def test_three_restarts_in_five_minutes_are_allowed_and_a_fourth_is_not():
    budget = RestartBudget()
    assert [budget.died(now) for now in (0, 100, 200, 299)] == [True, True, True, False]
    budget.reset()
    assert [budget.died(now) for now in (0, 101, 202, 303, 404)] == [True] * 5


# ---- exits ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "error", "how"),
    [
        (-signal.SIGABRT, EngineDied, "abort"),
        (-signal.SIGSEGV, EngineDied, "SIGSEGV"),
        (-signal.SIGTERM, EngineDied, "SIGTERM"),
        (-9, EngineOutOfMemory, "SIGKILL"),
        (-63, EngineDied, None),
        (-1000, EngineDied, "signal 1000"),
        (1, EngineDied, "exit code 1"),
        (0xC0000005, EngineDied, "SIGSEGV"),
        (0xC0000409, EngineDied, "abort"),
        (0xC000012D, EngineOutOfMemory, None),
    ],
)
def test_an_exit_code_becomes_a_cause(code, error, how):
    cause = classify(code, "")
    assert type(cause) is error
    assert how is None or cause.facts["how"] == how
    assert "?" not in str(cause)


ABORT = """\
llama_model_loader: loaded meta data with 30 key-value pairs
/src/llama-vocab.cpp:1845: GGML_ASSERT(id_to_token.size() > 0) failed
Fatal Python error: Aborted

Current thread 0x00007f3c (most recent call first):
  File "/app/deepseek_r1/engine/llama/model.py", line 40 in load
"""


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        (ABORT, "/src/llama-vocab.cpp:1845: GGML_ASSERT(id_to_token.size() > 0) failed"),
        ("terminate called after throwing\n  what():  std::bad_alloc\n", "what():  std::bad_alloc"),
        (
            'Traceback (most recent call last):\n  File "x", line 1\nOSError: no libgomp.so.1\n',
            "OSError: no libgomp.so.1",
        ),
        ("all is well\nwhat a day\n", "what a day"),
        ("Fatal Python error: Segmentation fault\n\nThread 0x1:\n  File x\n", ""),
        ("", ""),
        ("error: \x1b[31mred\x00\u202e " + "x" * 5000, "error:  [31mred   " + "x" * 382),
    ],
)
def test_last_words_are_what_a_person_can_use(stderr, words):
    assert last_words(stderr) == words


# ---- the ledger -----------------------------------------------------------------------------

FACTS = ModelFacts(
    path="", name="", architecture="", file_mib=0, parameters=0, quantisation="",
    context_length=1, context_trained=1, vocabulary=1, reasons=False, engine="",
)  # fmt: skip
BILL = Bill(lines=(), budget_mib=1)
TEXT = EventFrame(id=1, event=AnswerDelta(text="x"))
FINISHED = EventFrame(
    id=1, event=GenerationFinished(stats=GenerationStats(finish_reason=FinishReason.STOP))
)
PROGRESS = EventFrame(id=1, event=LoadProgress(fraction=0.1))
LOADED = EventFrame(
    id=1, event=ModelLoaded(facts=FACTS, bill=BILL, load_s=0, threads=1, threads_prefill=1)
)
DONE, COUNTED = Done(id=1), Counted(id=1, tokens=1)
FAILED = Failed(id=1, report=ErrorReport(code="EngineFailed"))
INSPECTED = Inspected(id=1, facts=FACTS, bill=BILL, advice="")
GENERATE, LOAD = Generate(id=1, messages=()), Load(id=1, path="")
INSPECT, COUNT = Inspect(id=1, path=""), CountTokens(id=1, messages=())
THREADS = SetThreads(id=1, threads=1, threads_prefill=1)


@pytest.mark.parametrize(
    ("request_", "replies"),
    [
        (GENERATE, [TEXT, TEXT, FINISHED, DONE]),
        (GENERATE, [TEXT, FAILED]),
        (GENERATE, [FAILED]),
        (LOAD, [PROGRESS, LOADED, DONE]),
        (LOAD, [PROGRESS, FAILED]),
        (INSPECT, [INSPECTED]),
        (COUNT, [COUNTED]),
        (THREADS, [DONE]),
    ],
)
def test_replies_in_turn_are_accepted_and_close_the_request(request_, replies):
    ledger = Ledger()
    ledger.open(request_, 0.0)
    for reply in replies:
        assert 1 in ledger
        ledger.accept(reply, 0.0)
    assert not ledger


@pytest.mark.parametrize(
    ("request_", "replies"),
    [
        (None, [DONE]),
        (GENERATE, [DONE]),
        (GENERATE, [FINISHED, TEXT]),
        (GENERATE, [FINISHED, FINISHED]),
        (GENERATE, [PROGRESS]),
        (GENERATE, [LOADED]),
        (GENERATE, [INSPECTED]),
        (GENERATE, [FINISHED, DONE, DONE]),
        (LOAD, [DONE]),
        (LOAD, [TEXT]),
        (LOAD, [LOADED, PROGRESS]),
        (INSPECT, [DONE]),
        (INSPECT, [TEXT]),
        (COUNT, [DONE]),
        (THREADS, [COUNTED]),
        (THREADS, [FAILED, FAILED]),
    ],
)
def test_a_reply_out_of_turn_breaks_the_protocol(request_, replies):
    ledger = Ledger()
    if request_ is not None:
        ledger.open(request_, 0.0)
    *before, last = replies
    for reply in before:
        ledger.accept(reply, 0.0)
    with pytest.raises(ProtocolBroken):
        ledger.accept(last, 0.0)


def test_deadlines_are_kept_and_a_cancel_only_brings_them_closer():
    ledger = Ledger()
    ledger.open(INSPECT, 100.0)
    assert ledger.overdue(109.9) is None
    assert ledger.overdue(110.0).request == INSPECT
    ledger.cancel(1, deadline=105.0)
    assert ledger.next_deadline == 105.0
    ledger.cancel(1, deadline=200.0)
    assert ledger.next_deadline == 105.0
