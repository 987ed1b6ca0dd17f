"""Whatever the engine's process does, its owner keeps the text, names the cause and goes on."""

import itertools
import os
import sys
import threading
import time

import psutil
import pytest

from deepseek_r1.core.errors import (
    EngineDied,
    EngineFailed,
    EngineHung,
    EngineKeepsDying,
    EngineOutOfMemory,
    EngineStartFailed,
    LoadStopped,
    ModelNotLoaded,
    ProtocolBroken,
)
from deepseek_r1.core.events import AnswerDelta, FinishReason
from deepseek_r1.host import protocol
from deepseek_r1.host.client import EngineClient
from deepseek_r1.host.protocol import (
    CountTokensRequest,
    EngineState,
    RestartRequest,
    SetThreadsRequest,
    StateChanged,
    UnloadRequest,
)
from deepseek_r1.host.supervisor import Supervisor
from host.conftest import IMPATIENT
from host.scripted_engine import scripted_command
from support.closing_replies import closing
from support.patience import PATIENCE_S

ROUNDS = int(os.environ.get("R1DESK_FAULT_ROUNDS", "1"))
FAULTS = {
    "exit=3": (EngineDied, "exit code 3"),
    "exit=0": (EngineDied, "exit code 0"),
    "signal=SIGSEGV": (EngineDied, "SIGSEGV"),
    "signal=SIGABRT": (EngineDied, "abort"),
    "half": (EngineDied, "exit code 9"),
    "garbage": (ProtocolBroken, None),
    "huge": (ProtocolBroken, None),
    "empty": (ProtocolBroken, None),
    "notjson": (ProtocolBroken, None),
    "unknown": (ProtocolBroken, None),
    "stranger": (ProtocolBroken, None),
    "wrongkind": (ProtocolBroken, None),
    "early": (ProtocolBroken, None),
    "twice": (ProtocolBroken, None),
    "hello": (ProtocolBroken, None),
}
if sys.platform == "win32":
    FAULTS["signal=SIGTERM"] = (EngineDied, "exit code 15")
else:
    FAULTS |= {
        "signal=SIGBUS": (EngineDied, "SIGBUS"),
        "signal=SIGILL": (EngineDied, "SIGILL"),
        "signal=SIGTERM": (EngineDied, "SIGTERM"),
        "signal=SIGKILL": (EngineOutOfMemory, "SIGKILL"),
    }


def answer(client: EngineClient, script: str) -> str:
    return "".join(e.text for e in client.generate(script) if isinstance(e, AnswerDelta))


def collect(events, texts):
    for event in events:
        if isinstance(event, AnswerDelta):
            texts.append(event.text)


def text_until_failure(client: EngineClient, script: str, error: type[EngineFailed]):
    texts = []
    with pytest.raises(error) as caught:
        collect(client.generate(script), texts)
    return "".join(texts), caught.value


OFTEN = {"exit=3", "signal=SIGSEGV", "signal=SIGKILL", "half", "garbage", "wrongkind", "early"}


@pytest.mark.parametrize(
    "fault",
    [pytest.param(name, marks=[] if name in OFTEN else [pytest.mark.slow]) for name in FAULTS],
)
def test_a_fault_keeps_the_text_names_the_cause_and_the_next_question_is_answered(scripted, fault):
    error, how = FAULTS[fault]
    client = scripted()
    client.load("")
    for _ in range(ROUNDS):
        text, caught = text_until_failure(client, f"say=so_ say=far {fault}", error)
        assert text == "so_far"
        assert how is None or caught.facts["how"] == how
        assert "?" not in str(caught)  # every sentence has its facts
        assert answer(client, "say=again") == "again"


@pytest.mark.slow
@pytest.mark.quiet
@pytest.mark.parametrize("fault", ["hang", "silence sleep=60", "stubborn hang", "sleep=60"])
def test_a_process_without_a_pulse_is_ended_as_hung(scripted, fault):
    client = scripted(limits=IMPATIENT)
    client.load("")
    began = time.monotonic()
    text, _ = text_until_failure(client, f"say=so {fault}", EngineHung)
    assert text == "so"
    assert time.monotonic() - began < 6
    assert answer(client, "say=again") == "again"


@pytest.mark.quiet
def test_a_loop_that_stands_still_is_cancelled_first(scripted):
    client = scripted(limits=IMPATIENT)
    client.load("")
    pid = client.pid
    *_, last = client.generate("wait=60")
    assert last.stats.finish_reason is FinishReason.CANCELLED
    assert answer(client, "say=again") == "again"
    assert client.pid == pid


@pytest.mark.slow
@pytest.mark.quiet
def test_an_engine_that_takes_no_requests_is_ended_as_hung(scripted):
    client = scripted(limits=IMPATIENT)
    client.load("")
    assert answer(client, "deaf") == ""
    assert answer(client, "say=taken") == "taken"  # its reader waits for one frame more
    with pytest.raises(EngineHung):
        answer(client, "say=x" + " " * 500_000)  # more than a pipe holds


def test_a_closed_pipe_without_an_end_is_a_fault(scripted):
    client = scripted()
    client.load("")
    text, _ = text_until_failure(client, "say=so close", ProtocolBroken)
    assert text == "so"


def test_ten_thousand_events_before_a_death_all_arrive(scripted):
    client = scripted()
    client.load("")
    text, _ = text_until_failure(client, "flood=10000 exit=3", EngineDied)
    assert text == "x" * 10_000


def test_the_last_telling_line_of_standard_error_is_the_reason(scripted):
    client = scripted()
    client.load("")
    script = "complain=loading complain=vocab.cpp:12:_GGML_ASSERT(n_>_0)_failed fault=SIGABRT"
    _, caught = text_until_failure(client, script, EngineDied)
    assert caught.facts == {"how": "abort", "detail": "vocab.cpp:12: GGML ASSERT(n > 0) failed."}


def test_after_too_many_deaths_the_engine_stays_stopped_until_it_is_asked_to_start(scripted):
    client = scripted(restarts=3)
    client.load("")
    for _ in range(4):
        text_until_failure(client, "exit=3", EngineDied)
    assert client.state is EngineState.FAILED
    _, caught = text_until_failure(client, "say=hello", EngineKeepsDying)
    assert caught.facts["count"] == 4
    client._supervisor.post(RestartRequest())
    assert answer(client, "say=hello") == "hello"


def test_a_running_engine_can_be_started_anew_and_keeps_what_was_asked_meanwhile(scripted):
    client = scripted()
    client.load("")
    first = client.pid
    client._supervisor.post(RestartRequest())
    assert answer(client, "say=hello") == "hello"
    assert client.pid != first


@pytest.mark.slow
@pytest.mark.quiet
def test_a_question_asked_while_the_last_engine_is_being_ended_is_answered_by_the_next(scripted):
    client = scripted(limits=IMPATIENT)
    client.load("stubborn")
    text_until_failure(client, "hang", EngineHung)  # it takes a second more to be gone
    assert answer(client, "say=hello") == "hello"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["/nowhere/python"], "WinError 2" if sys.platform == "win32" else "No such file"),
        (scripted_command("complain=error:_libllama_is_missing", "exit=1"), "libllama is missing"),
        (scripted_command("version=99"), "99"),
        (scripted_command("garbage"), None),
        (scripted_command("signal=SIGSEGV"), "memory that is not its own"),
    ],
)
def test_an_engine_that_does_not_start_says_why(command, reason):
    with EngineClient(command=command) as client:
        error = EngineStartFailed if reason else ProtocolBroken
        with pytest.raises(error) as caught:
            client.load("")
        assert (reason or "") in str(caught.value)


def test_an_engine_that_does_not_greet_is_given_up():
    limits = IMPATIENT.__class__(start_s=0.5, check_s=0.1)
    with (
        EngineClient(command=scripted_command("sleep=60"), limits=limits) as client,
        pytest.raises(EngineStartFailed),
    ):
        client.load("")


# ---- what is asked in the wrong moment ------------------------------------------------------


def test_a_question_without_a_model_is_refused_without_starting_anything(scripted):
    client = scripted()
    with pytest.raises(ModelNotLoaded):
        answer(client, "say=hello")
    assert client.pid is None


def test_threads_and_counts_are_answered(scripted):
    client = scripted()
    closing(client.submit(SetThreadsRequest, threads=2, threads_prefill=2))
    client.load("")
    closing(client.submit(SetThreadsRequest, threads=1, threads_prefill=2))
    assert closing(client.submit(CountTokensRequest, messages=())).tokens == 7
    closing(client.submit(UnloadRequest))
    with pytest.raises(ModelNotLoaded):
        answer(client, "say=hello")


# ---- cancelling -----------------------------------------------------------------------------


def test_leaving_an_answer_early_cancels_it(scripted):
    client = scripted()
    client.load("")
    for _ in client.generate("say=a wait=60 say=b"):
        break
    began = time.monotonic()
    assert answer(client, "say=next") == "next"
    assert time.monotonic() - began < 30  # and not after the sixty


def test_what_waits_for_the_start_can_be_cancelled():
    notices = Notices(scripted_command())
    notices.supervisor.post(protocol.LoadRequest(id=1, path=""))
    notices.supervisor.post(protocol.GenerateRequest(id=2, messages=()))
    notices.supervisor.post(protocol.CancelRequest(id=2))
    notices.supervisor.post(protocol.CancelRequest(id=1))
    with notices:
        ended = notices.wait_for(protocol.ErrorReply)
    assert ended.id == 1
    assert isinstance(ended.report.error, LoadStopped)
    finished = [n.event for n in notices.all if isinstance(n, protocol.EventReply)]
    assert finished[0].stats.finish_reason is FinishReason.CANCELLED


class Notices:
    """Runs a supervisor on a thread and keeps what it says."""

    def __init__(self, command: list[str]) -> None:
        self.all: list[object] = []
        self.threads: set[int] = set()
        self._said = threading.Condition()
        self.supervisor = Supervisor(self._note, command=command)
        self.thread = threading.Thread(target=self.supervisor.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.supervisor.request_stop()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()

    def _note(self, notice):
        with self._said:
            self.all.append(notice)
            self.threads.add(threading.get_ident())
            self._said.notify_all()

    def wait_for(self, kind, where=lambda _: True):
        def found():
            return next((n for n in self.all if isinstance(n, kind) and where(n)), None)

        with self._said:
            assert self._said.wait_for(found, PATIENCE_S), f"no {kind.__name__} came"
        return found()


# ---- the owner's side -----------------------------------------------------------------------


def test_states_follow_one_another_and_notices_come_on_the_running_thread():
    notices = Notices(scripted_command())
    with notices:
        notices.supervisor.post(protocol.LoadRequest(id=1, path="wait=0.05"))
        notices.wait_for(protocol.DoneReply)
        notices.supervisor.post(
            protocol.GenerateRequest(id=2, messages=generate_messages("wait=0.05"))
        )
        notices.wait_for(protocol.DoneReply, lambda done: done.id == 2)
    states = [n.state for n in notices.all if isinstance(n, StateChanged)]
    assert [state for state, _ in itertools.groupby(states)] == [
        EngineState.STARTING, EngineState.LOADING, EngineState.IDLE, EngineState.GENERATING,
        EngineState.IDLE, EngineState.STOPPED,
    ]  # fmt: skip
    assert notices.threads == {notices.thread.ident}


def generate_messages(text: str):
    return ({"role": "user", "content": text},)


def test_stopping_in_the_middle_of_an_answer_closes_it_and_ends_the_process():
    notices = Notices(scripted_command())
    with notices:
        notices.supervisor.post(protocol.LoadRequest(id=1, path=""))
        pid = notices.wait_for(protocol.Handshake).pid
        notices.supervisor.post(
            protocol.GenerateRequest(id=2, messages=generate_messages("say=a sleep=60"))
        )
        notices.wait_for(protocol.EventReply, lambda frame: frame.id == 2)
        began = time.monotonic()
    assert time.monotonic() - began < 30
    assert any(isinstance(n, protocol.ErrorReply) and n.id == 2 for n in notices.all)
    assert not alive(pid)


def test_an_owner_whose_notify_fails_leaves_no_process_behind():
    pids = []

    def fail(notice):
        if isinstance(notice, protocol.Handshake):
            pids.append(notice.pid)
            raise BrokenPipeError("a bug of the owner")

    supervisor = Supervisor(fail, command=scripted_command())
    supervisor.post(protocol.LoadRequest(id=1, path=""))
    with pytest.raises(BrokenPipeError):
        supervisor.run()
    assert not alive(pids[0])


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid)
