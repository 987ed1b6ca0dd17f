"""An engine process without an engine: speaks the real protocol and misbehaves on request.

The model's "path" is the script of a load, the last message the script of an answer: words parted
by spaces, each one act. Run by the supervisor as `python scripted_engine.py START_ACT...`.
`scripted_model.py` is for the window, whose messages and paths are no scripts.
"""

import faulthandler
import os
import signal
import struct
import sys
import threading
import time
from functools import partial

from deepseek_r1.core import frames
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
from deepseek_r1.host import protocol

FACTS = ModelFacts(
    path="scripted", name="Scripted", architecture="none", file_mib=0, parameters=0,
    quantisation="none", context_length=256, context_trained=256, vocabulary=2, reasons=False,
    engine="scripted",
)  # fmt: skip
LOADED = ModelLoaded(
    facts=FACTS, bill=Bill(lines=(), budget_mib=256), load_s=0, threads=1, threads_prefill=1
)

TOKEN_CHARACTERS = 4
TEXT = """## A part of the answer

Some **running text** with `code` in it, which goes on for a while so that lines are wrapped, and
then a list:

1. first, with *emphasis*
2. second, with [a link](https://example.org/page)
   - and something below it

```python
def area(width: float, height: float) -> float:
    \"\"\"The area of a rectangle.\"\"\"
    return width * height  # simple
```

| name | value |
| --- | ---: |
| one | 1 |
| two | 2 |

埃拉托斯特尼筛法是一种用来找出一定范围内所有质数的算法，其步骤如下所述。

"""


def scripted_command(*start: str) -> list[str]:
    """The command line of this engine."""
    return [sys.executable, __file__, *start]


class ScriptedEngine:
    def __init__(self) -> None:
        self.cancelled: set[int] = set()
        self.requests: list[protocol.Request] = []
        self.arrived = threading.Condition()
        self.phase = protocol.EnginePhase.IDLE
        self.moved_at = time.monotonic()
        self.beating = True
        self.reading = True
        self.sending = threading.Lock()

    def run(self, start: list[str]) -> None:
        for act in start:
            self.act(act, 0)
        self.hello()
        threading.Thread(target=self.beat, daemon=True).start()
        threading.Thread(target=self.read, daemon=True).start()
        while True:
            with self.arrived:
                self.arrived.wait_for(lambda: self.requests)
                request = self.requests.pop(0)
            self.serve(request)

    def hello(self, version: int = protocol.VERSION) -> None:
        self.send(protocol.Handshake(version=version, pid=os.getpid(), engine="scripted"))

    def read(self) -> None:
        while self.reading:
            body = frames.read(sys.stdin.buffer, frames.TO_CHILD_CAP)
            if body is None:
                os._exit(0)
            request = frames.parse(body, protocol.request_adapter)
            match request:
                case protocol.CancelRequest():
                    self.cancelled.add(request.id)
                case protocol.ShutdownRequest():
                    os._exit(0)
                case _:
                    with self.arrived:
                        self.requests.append(request)
                        self.arrived.notify()

    def beat(self) -> None:
        while True:
            idle = self.phase is protocol.EnginePhase.IDLE
            idle_s = 0.0 if idle else time.monotonic() - self.moved_at
            if self.beating:
                self.send(protocol.Heartbeat(
                    phase=self.phase, idle_s=idle_s, cpu_s=0, rss_mib=1, peak_mib=1,
                    context_used=0, context_length=256,
                ))  # fmt: skip
            time.sleep(0.05)

    def serve(self, request: protocol.Request) -> None:
        self.moved_at = time.monotonic()
        match request:
            case protocol.LoadRequest():
                self.phase = protocol.EnginePhase.WORKING
                self.event(request.id, LoadProgress(fraction=0.0))
                self.acts(request.path, request.id)
                self.event(request.id, LOADED)
                self.send(protocol.DoneReply(id=request.id))
            case protocol.GenerateRequest():
                self.phase = protocol.EnginePhase.WORKING
                reason = self.acts(request.messages[-1].content, request.id)
                stats = GenerationStats(finish_reason=reason)
                self.event(request.id, GenerationFinished(stats=stats))
                self.send(protocol.DoneReply(id=request.id))
            case protocol.CountTokensRequest():
                self.send(protocol.CountTokensReply(id=request.id, tokens=7))
            case _:
                self.send(protocol.DoneReply(id=request.id))
        self.phase = protocol.EnginePhase.IDLE

    def acts(self, script: str, request_id: int) -> FinishReason:
        for act in script.split():
            if request_id in self.cancelled:
                return FinishReason.CANCELLED
            self.act(act, request_id)
        return FinishReason.CANCELLED if request_id in self.cancelled else FinishReason.STOP

    def act(self, act: str, request_id: int) -> None:
        self.moved_at = time.monotonic()
        name, _, value = act.partition("=")
        match name:
            case "say":
                self.event(request_id, AnswerDelta(text=value))
            case "pace":  # pace=100,3: tokens a second, seconds
                rate, seconds = map(float, value.split(","))
                self.stream(request_id, rate, seconds)
            case "wait":
                until = time.monotonic() + float(value)
                while time.monotonic() < until and request_id not in self.cancelled:
                    time.sleep(0.01)
            case "sleep":  # deaf to Cancel
                time.sleep(float(value))
            case "complain":
                print(value.replace("_", " "), file=sys.stderr, flush=True)
            case "exit":
                os._exit(int(value))
            case "signal" if sys.platform == "win32":
                access_violation = partial(faulthandler._raise_exception, 0xC0000005)
                end = {"SIGSEGV": access_violation, "SIGABRT": os.abort}
                end.get(value, lambda: os.kill(os.getpid(), signal.Signals[value]))()
            case "signal":
                if value != "SIGKILL":
                    signal.signal(signal.Signals[value], signal.SIG_DFL)
                os.kill(os.getpid(), signal.Signals[value])
                time.sleep(5)
            case "fault" if sys.platform == "win32" and value == "SIGABRT":
                faulthandler.enable()
                os.abort()
            case "fault":
                faulthandler.enable()
                os.kill(os.getpid(), signal.Signals[value])
                time.sleep(5)
            case "silence":
                self.beating = False
            case "hang":
                self.beating = False
                time.sleep(60)
            case "stubborn":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            case "garbage":
                self.raw(b"\xff" + os.urandom(63))  # which is no length of a frame
            case "huge":
                self.raw(struct.pack(">I", frames.FROM_CHILD_CAP + 1))
            case "empty":
                self.raw(struct.pack(">I", 0))
            case "notjson":
                self.raw(struct.pack(">I", 5) + b"hello")
            case "unknown":
                self.raw(struct.pack(">I", 16) + b'{"kind":"magic"}')
            case "half":
                self.raw(struct.pack(">I", 100) + b'{"kind"')
                os._exit(9)
            case "stranger":
                self.event(request_id + 1000, AnswerDelta(text="who?"))
            case "wrongkind":
                self.event(request_id, LOADED)
            case "early":
                self.send(protocol.DoneReply(id=request_id))
            case "twice":
                stats = GenerationStats(finish_reason=FinishReason.STOP)
                self.event(request_id, GenerationFinished(stats=stats))
                self.event(request_id, AnswerDelta(text="more"))
            case "hello":
                self.hello()
            case "version":
                self.hello(int(value))
            case "deaf":
                self.reading = False
            case "close":
                sys.stdout.flush()
                os.close(1)
                time.sleep(60)
            case "flood":
                for _ in range(int(value)):
                    self.event(request_id, AnswerDelta(text="x"))
            case _:
                raise ValueError(act)

    def stream(self, request_id: int, rate: float, seconds: float) -> None:
        """Tokens at an even pace, each at its own time whatever the ones before it took."""
        began = time.monotonic()
        for number in range(round(rate * seconds)):
            if request_id in self.cancelled:
                return
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            self.moved_at = time.monotonic()
            at = number * TOKEN_CHARACTERS % len(TEXT)
            self.event(request_id, AnswerDelta(
                text=TEXT[at : at + TOKEN_CHARACTERS], completion_tokens=number + 1,
                elapsed_s=self.moved_at - began,
            ))  # fmt: skip

    def event(self, request_id: int, event: object) -> None:
        self.send(protocol.EventReply(id=request_id, event=event))

    def send(self, reply: protocol.Reply) -> None:
        self.raw(frames.pack(reply, frames.FROM_CHILD_CAP))

    def raw(self, data: bytes) -> None:
        with self.sending:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    ScriptedEngine().run(sys.argv[1:])
