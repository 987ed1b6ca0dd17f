"""A child process: what is asked and heard of it, and the end of one that is of no use."""

import ast
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import psutil
import pytest
from pydantic import BaseModel, TypeAdapter

from deepseek_r1.core import child_call
from deepseek_r1.core.child_call import (
    ChildCall,
    ChildDied,
    ChildFailure,
    ChildProgress,
    ChildTooLarge,
    ChildTooSlow,
)
from deepseek_r1.core.errors import ModelFileMissing, ProtocolBroken
from deepseek_r1.core.processes import ChildKind
from support.patience import PATIENCE_S

pytestmark = pytest.mark.integration

CHILD = """
import json, os, struct, sys, time
def send(**message):
    body = json.dumps(message).encode()
    sys.stdout.buffer.write(struct.pack(">I", len(body)) + body)
    sys.stdout.buffer.flush()
while head := sys.stdin.buffer.read(4):
    exec(json.loads(sys.stdin.buffer.read(struct.unpack(">I", head)[0]))["act"])
"""
MISSING = ModelFileMissing(path="a.gguf").report().model_dump()


class Act(BaseModel):
    act: str


class Said(BaseModel):
    kind: Literal["said"]
    text: str


class Step(ChildProgress):
    kind: Literal["step"]
    number: int


replies: TypeAdapter[Said | Step | ChildFailure] = TypeAdapter(Said | Step | ChildFailure)
HELLO = Act(act="send(kind='said', text='hello')")


@pytest.fixture(autouse=True)
def _child_does_as_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_call, "child_command", lambda _kind: [sys.executable, "-c", CHILD])


@pytest.fixture
def child() -> Iterator[ChildCall]:
    with ChildCall(ChildKind.HEADERS, replies) as started:
        yield started


def is_gone(child: ChildCall) -> bool:
    return not child.running and not psutil.pid_exists(child.pid)


def test_one_process_answers_request_after_request(child: ChildCall) -> None:
    assert child.ask(HELLO).text == "hello"
    assert child.ask(HELLO).text == "hello"
    child.close()
    assert is_gone(child)


def test_progress_comes_before_the_reply(child: ChildCall) -> None:
    steps: list[Step] = []
    act = "[send(kind='step', number=n) for n in range(3)]; " + HELLO.act
    assert child.ask(Act(act=act), on_progress=steps.append).text == "hello"
    assert [step.number for step in steps] == [0, 1, 2]


def test_a_process_that_another_thread_closes_ends_the_wait_of_who_asks(child: ChildCall) -> None:
    closed: list[bool] = []
    closing = threading.Timer(0.3, lambda: closed.append(child.close(PATIENCE_S)))
    closing.start()
    with pytest.raises(ChildDied):
        child.ask(Act(act="time.sleep(600)"), deadline_s=PATIENCE_S)
    closing.join()
    assert closed == [True]
    assert is_gone(child)


def test_an_error_that_the_process_reports_does_not_end_it(child: ChildCall) -> None:
    with pytest.raises(ModelFileMissing):
        child.ask(Act(act=f"send(kind='failed', report={MISSING})"))
    assert child.ask(HELLO).text == "hello"


@pytest.mark.parametrize(
    ("act", "deadline_s", "error"),
    [
        ("time.sleep(60)", 0.2, ChildTooSlow),
        ("os._exit(7)", PATIENCE_S, ChildDied),
        ("print('not a frame', flush=True)", PATIENCE_S, ProtocolBroken),
        ("send(kind='said', text=1)", PATIENCE_S, ProtocolBroken),
    ],
)
def test_a_process_that_does_not_answer_is_ended(child, act, deadline_s, error):
    with pytest.raises(error):
        child.ask(Act(act=act), deadline_s=deadline_s)
    assert is_gone(child)


def test_the_cause_of_a_death_is_told(child: ChildCall) -> None:
    with pytest.raises(ChildDied) as died:
        child.ask(Act(act="sys.stderr.write('why'); sys.stderr.flush(); os._exit(7)"))
    assert (died.value.returncode, died.value.how, died.value.stderr) == (7, "7", "why")


def test_another_thread_can_hurry_a_call(child: ChildCall) -> None:
    threading.Timer(0.2, child.hurry, (0.1,)).start()
    began = time.monotonic()
    with pytest.raises(ChildTooSlow):
        child.ask(Act(act="time.sleep(600)"))
    assert time.monotonic() - began < PATIENCE_S


def test_what_is_raised_while_it_waits_ends_the_process(child: ChildCall) -> None:
    def stop(_waited_s: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        child.ask(Act(act="time.sleep(60)"), on_wait=stop)
    assert is_gone(child)


def has_main(module: str) -> bool:
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text("utf-8"))
    return any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body)


def test_each_kind_is_a_program_with_an_argument_of_its_own() -> None:
    programs = [kind.value for kind in ChildKind]
    assert len({program.argument for program in programs}) == len(programs)
    assert all(has_main(program.module) for program in programs)


def test_a_reply_may_be_longer_the_longer_its_request_is() -> None:
    long = "send(kind='said', text=100 * 'x')"
    with ChildCall(ChildKind.HEADERS, replies, most_bytes=100, reply_share=1) as child:
        assert child.ask(Act(act=long)).text == 100 * "x"
        assert child.ask(HELLO).text == "hello"
        with pytest.raises(ProtocolBroken):
            child.ask(Act(act=long.replace("100", "999")))
    assert is_gone(child)


def test_where_no_system_bounds_a_childs_memory_it_is_watched(monkeypatch):
    monkeypatch.setattr(child_call, "WATCHES_MEMORY", True)
    with ChildCall(ChildKind.HEADERS, replies, memory_bytes=100 << 20) as child:
        assert child.ask(Act(act="time.sleep(0.3); send(kind='said', text='small')")).text
        with pytest.raises(ChildTooLarge):
            child.ask(Act(act="grown = b'x' * (200 << 20); time.sleep(60)"))
    assert is_gone(child)


def test_without_memory_for_its_threads_a_process_does_not_start(monkeypatch):
    """`ulimit -v 200000 deepseek-r1 generate`: the reason is the system's, not the closing."""

    def no_thread(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    with pytest.raises(OSError, match="can't start new thread"):
        ChildCall(ChildKind.HEADERS, replies)
