"""A child process that writes frames: what its owner hears of it."""

from __future__ import annotations

import queue
import sys
import threading

import pytest
from pydantic import BaseModel, TypeAdapter

from deepseek_r1.core import frames
from deepseek_r1.core.child_process import (
    ChildProcess,
    FrameReceived,
    ProcessEvent,
    ProcessExited,
    StreamBroken,
)

pytestmark = pytest.mark.integration

ECHO = """
import struct, sys
size = struct.unpack(">I", sys.stdin.buffer.read(4))[0]
body = sys.stdin.buffer.read(size)
sys.stdout.buffer.write(struct.pack(">I", size) + body)
sys.stderr.write("the end of it")
sys.exit(3)
"""


class Text(BaseModel):
    text: str


def started(program: str) -> tuple[ChildProcess, queue.SimpleQueue[ProcessEvent]]:
    events: queue.SimpleQueue[ProcessEvent] = queue.SimpleQueue()
    command = [sys.executable, "-c", program]
    return ChildProcess(command, {}, TypeAdapter(Text), events.put, {}), events


def test_a_frame_goes_to_the_child_and_back_and_the_exit_is_last():
    process, events = started(ECHO)
    process.send(frames.pack(Text(text="天空"), frames.TO_CHILD_CAP))
    received, exited = events.get(timeout=60), events.get(timeout=60)
    process.close()
    assert isinstance(received, FrameReceived)
    assert received.reply == Text(text="天空")
    assert isinstance(exited, ProcessExited)
    assert exited.returncode == 3
    assert process.stderr == "the end of it"


def test_bytes_that_are_no_frame_are_reported_before_the_exit():
    process, events = started("print('not a frame')")
    broken, exited = events.get(timeout=60), events.get(timeout=60)
    process.close()
    assert isinstance(broken, StreamBroken)
    assert isinstance(exited, ProcessExited)


def test_a_killed_child_has_exited():
    process, events = started("import time; time.sleep(600)")
    process.kill()
    exited = events.get(timeout=60)
    process.close()
    assert isinstance(exited, ProcessExited)
    assert exited.returncode != 0


def test_without_memory_for_its_threads_a_process_does_not_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`ulimit -v 200000 deepseek-r1 generate`: the reason is the system's, not the closing."""

    def no_thread(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    with pytest.raises(OSError, match="can't start new thread"):
        started(ECHO)
