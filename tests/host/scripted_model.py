"""An engine that has a script in place of a model, for the tests of the window.

    python scripted_model.py SCRIPT     # written by support/engine_script.py

It speaks the engine's protocol as plain JSON, so that it starts in a few hundredths of a second;
the window validates every frame. It counts words as tokens, and keeps to the context, to
`max_tokens` and to the thinking budget. What it received stands in `received.jsonl` beside the
script, which it reads anew with every request.
"""

import json
import os
import re
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Frame = dict[str, Any]
Acts = list[tuple[str, Any]]

BEAT_S = 0.2
LOOK_S = 0.005  # how often a waiting act looks up
ENDLESS_TOKEN_S = 0.01
MIB = 1 << 20
PIECE = re.compile(r"\s*\S+|\s+")


class Refused(Exception):
    """The request fails with this report."""

    def __init__(self, code: str, **facts: Any) -> None:
        super().__init__(code)
        self.report = {"code": code, "facts": facts}


def count_tokens(messages: list[Frame]) -> int:
    """A token for each word, and four around each message."""
    return sum(4 + len(message["content"].split()) for message in messages)


class ScriptedModel:
    """Serves one request after the other, each as the script has it at that moment."""

    def __init__(self, script: Path) -> None:
        self._file, self._journal = script, script.with_name("received.jsonl")
        self.script: Frame = json.loads(script.read_text(encoding="utf-8"))
        self.cancelled: set[int] = set()
        self.answers_now: set[int] = set()
        self._requests: list[Frame] = []
        self._arrived = threading.Condition()
        self._sending = threading.Lock()
        self._phase = "idle"
        self._moved_at = time.monotonic()
        self._beating = True
        self._loaded: Frame | None = None  # the facts of its model
        self._settings: Frame = {"memory_budget": 0}
        self._used = 0

    def run(self) -> None:
        """Serve until the input ends or the process is asked to end."""
        hello = {"version": self.script["version"], "pid": os.getpid(), "engine": "scripted"}
        self.send("handshake", **hello)
        for body in (self._read, self._beat):
            threading.Thread(target=body, daemon=True).start()
        while True:
            with self._arrived:
                self._arrived.wait_for(lambda: self._requests)
                request = self._requests.pop(0)
            self._serve(request)

    # ---- the pipes --------------------------------------------------------------------------

    def _read(self) -> None:
        pipe = sys.stdin.buffer
        while len(head := pipe.read(4)) == 4:
            request: Frame = json.loads(pipe.read(struct.unpack(">I", head)[0]))
            with self._journal.open("a", encoding="ascii") as journal:
                journal.write(json.dumps(request) + "\n")  # with escapes for all else
            match request["kind"]:
                case "cancel":
                    self.cancelled.add(request["id"])
                case "end_thinking":
                    self.answers_now.add(request["id"])
                case "shutdown":
                    break
                case _:
                    with self._arrived:
                        self._requests.append(request)
                        self._arrived.notify()
        os._exit(0)

    def _beat(self) -> None:
        while self._beating:
            loaded, budget = self._loaded, self._settings["memory_budget"]
            memory = {
                "budget_mib": budget, "wanted_mib": budget, "batch": 512, "short": False,
                "streams": False,
            }  # fmt: skip
            idle = self._phase == "idle"
            self.send(
                "heartbeat", phase="idle" if idle else "working", cpu_s=0, rss_mib=100,
                peak_mib=100,
                idle_s=0 if idle else time.monotonic() - self._moved_at,
                context_used=self._used if loaded else 0,
                context_length=loaded["context_length"] if loaded else 0,
                threads=2 if loaded else 0, memory=memory if loaded else None,
            )  # fmt: skip
            time.sleep(BEAT_S)

    def send(self, kind: str, **fields: Any) -> None:
        """Send a reply."""
        body = json.dumps({"kind": kind, **fields}).encode()
        with self._sending:
            sys.stdout.buffer.write(struct.pack(">I", len(body)) + body)
            sys.stdout.buffer.flush()

    def event(self, request: Frame, kind: str, **fields: Any) -> None:
        """Send an event of a request."""
        self._moved_at = time.monotonic()
        self.send("event", id=request["id"], event={"kind": kind, **fields})

    # ---- requests ---------------------------------------------------------------------------

    def _serve(self, request: Frame) -> None:
        self._moved_at = time.monotonic()
        self.script = json.loads(self._file.read_text(encoding="utf-8"))
        try:
            kind, fields = self._do(request)
        except Refused as refused:
            kind, fields = "failed", {"report": refused.report}
        self._phase = "idle"
        self.send(kind, id=request["id"], **fields)

    def _do(self, request: Frame) -> tuple[str, Frame]:
        """Do what is asked for; the closing reply. Raises Refused."""
        match request["kind"]:
            case "load":
                self._load(request)
            case "generate":
                if self._loaded is None:
                    raise Refused("ModelNotLoaded")
                self._phase = "working"
                self._used = Answer(self, request, self._loaded["context_length"]).write()
            case "prepare" if request["compute"]:
                self._phase = "preparing"
                for name, value in self.script["prepares"]:
                    self.act(request, name, value)
            case "count_tokens":
                return "counted", {"tokens": count_tokens(request["messages"])}
            case "set_budget" if self._loaded is not None:
                self._settings = self._settings | {"memory_budget": request["memory_budget"]}
                path, window_mib = self._loaded["path"], request["window_mib"] or 0
                bill = self._bill(path, self._settings, window_mib)
                self.event(request, "budget_changed", bill=bill)
            case "unload":
                self._loaded = None
            case _:
                pass
        return "done", {}

    def acts_for(self, question: str) -> Acts:
        """How a question is answered."""
        plain = [("say", self.script["plain"])]
        return next((acts for part, acts in self.script["answers"] if part in question), plain)

    def _load(self, request: Frame) -> None:
        path, settings = request["path"], request["settings"]
        acts = self.script["loads"]
        if not Path(path).is_file():
            raise Refused("ModelFileMissing", path=path)
        for name, value in acts:
            if name == "refuse":  # before the model before it is unloaded
                raise Refused(value["code"], **value["facts"])
        self._phase = "working"
        self._loaded = None
        self.event(request, "load_progress", fraction=0.0)
        for name, value in acts:
            if name == "progress":
                self.event(request, "load_progress", fraction=value)
            else:
                self.act(request, name, value)
        self._settings, self._used = settings, 0
        self._loaded = self._facts(path, settings)
        self.event(
            request, "model_loaded", facts=self._loaded, load_s=0.1, threads=2, threads_prefill=2,
            bill=self._bill(path, settings, request["window_mib"]),
        )  # fmt: skip

    def _facts(self, path: str, settings: Frame) -> Frame:
        return {
            "path": path, "name": Path(path).stem, "architecture": "llama",
            "file_mib": Path(path).stat().st_size / MIB, "parameters": 135_000_000,
            "quantisation": "Q4_K_M", "context_length": settings["context_length"] or 8192,
            "context_trained": 8192, "vocabulary": 49_152, "reasons": False,
            "engine": "scripted", "format": "GGUF 3", **self.script["facts"],
        }  # fmt: skip

    def _bill(self, path: str, settings: Frame, window_mib: float) -> Frame:
        sizes = {
            "weights": Path(path).stat().st_size / MIB,
            "kv_cache": (settings["context_length"] or 8192) * 0.02,
            "compute": 20.0,
            "runtime": 40.0,
            "window": window_mib,
        }
        return {
            "lines": [{"name": name, "planned_mib": mib} for name, mib in sizes.items()],
            "budget_mib": settings["memory_budget"],
            "context_length": settings["context_length"] or 8192,
        }

    # ---- acts of loads and answers ----------------------------------------------------------

    def act(self, request: Frame, name: str, value: Any) -> None:
        """Wait, or do what only a broken process does."""
        match name:
            case "wait":
                until = time.monotonic() + value
                self._wait(request, lambda: time.monotonic() >= until)
            case "gate":
                self._wait(request, Path(value).exists)
            case "signal":
                os.kill(os.getpid(), signal.Signals[value])
                time.sleep(5)
            case "freeze":
                self._beating = False
                time.sleep(60)
            case _:
                raise ValueError(name)

    def _wait(self, request: Frame, over: Callable[[], bool]) -> None:
        while not over() and request["id"] not in self.cancelled:
            self._moved_at = time.monotonic()
            time.sleep(LOOK_S)


class Answer:
    """One answer: performs its acts and counts what it has written."""

    def __init__(self, model: ScriptedModel, request: Frame, context: int) -> None:
        self._model, self._request = model, request
        self._prompt = count_tokens(request["messages"])
        self._context = context
        self._began = time.monotonic()
        self._tokens = self._thought = 0
        self._read = self._prompt
        self._thinks = False
        self._thinking_end: str | None = None
        self._reason = ""

    def write(self) -> int:
        """Perform the acts; the tokens that the context holds afterwards. Raises Refused."""
        messages = self._request["messages"]
        if self._prompt + self._request["reserve"] > self._context:
            raise Refused("PromptTooLong", tokens=self._prompt, context=self._context)
        self._event("prefill_progress", done=0, total=self._prompt, cached=0)
        acts = self._model.acts_for(messages[-1]["content"] if messages else "")
        if acts and acts[0][0] == "read":
            self._read = round(acts[0][1] * self._prompt)
        self._event("prefill_progress", done=self._read, total=self._prompt, cached=0)
        for name, value in acts:
            if not self._reason:
                self._perform(name, value)
        self._event("generation_finished", stats=self._stats())
        return self._prompt + self._tokens

    def _perform(self, name: str, value: Any) -> None:
        match name:
            case "say":
                self._say(value, 0.0)
            case "repeat":
                self._say(self._request["messages"][-1]["content"], value)
            case "go_on":
                while not self._reason:
                    self._say(value, ENDLESS_TOKEN_S)
            case "think":
                self._think(value, 0.0)
            case "think_on":
                while self._think(value, ENDLESS_TOKEN_S):
                    pass
            case "refuse":
                raise Refused(value["code"], **value["facts"])
            case "read":
                pass
            case _:
                self._model.act(self._request, name, value)
                self._look_for_stop()

    def _say(self, text: str, token_s: float) -> None:
        if self._thinks:
            self._close_thinking("model")
        for piece in PIECE.findall(text):
            if not self._next_token(token_s):
                return
            self._event("answer_delta", text=piece, **self._so_far())

    def _think(self, text: str, token_s: float) -> bool:
        """Think; False once the thinking is over."""
        if self._reason or self._thinking_end:
            return False
        self._thinks = True
        budget = self._request["sampling"].get("thinking_budget")
        for piece in PIECE.findall(text):
            if budget is not None and self._thought >= budget:
                self._close_thinking("budget")
            elif self._request["id"] in self._model.answers_now:
                self._close_thinking("request")
            if self._thinking_end or not self._next_token(token_s):
                return False
            self._thought += 1
            self._event("thinking_delta", text=piece, **self._so_far())
        return True

    def _close_thinking(self, end: str) -> None:
        self._thinks, self._thinking_end = False, end
        self._event("thinking_finished", seconds=time.monotonic() - self._began, end=end)

    def _next_token(self, token_s: float) -> bool:
        """Take a token's time; False, with the reason noted, where there is no next token."""
        time.sleep(token_s)
        self._look_for_stop()
        if self._tokens - self._thought >= self._request["sampling"]["max_tokens"]:
            self._reason = self._reason or "length"
        elif self._prompt + self._tokens >= self._context:
            self._reason = self._reason or "context"
        if not self._reason:
            self._tokens += 1
        return not self._reason

    def _look_for_stop(self) -> None:
        if self._request["id"] in self._model.cancelled:
            self._reason = "cancelled"

    def _so_far(self) -> Frame:
        elapsed_s = time.monotonic() - self._began
        return {"completion_tokens": self._tokens, "elapsed_s": elapsed_s}

    def _event(self, kind: str, **fields: Any) -> None:
        self._model.event(self._request, kind, **fields)

    def _stats(self) -> Frame:
        elapsed_s = time.monotonic() - self._began
        return {
            "finish_reason": self._reason or "stop", "inside_thinking": self._thinks,
            "thinking_end": self._thinking_end, "prompt_tokens": self._prompt,
            "completion_tokens": self._tokens, "thinking_tokens": self._thought,
            "thinking_s": elapsed_s if self._thought else 0.0, "ttft_s": 0.01, "prefill_s": 0.01,
            "decode_s": max(0.01, elapsed_s), "context_used": self._read + self._tokens,
        }  # fmt: skip


if __name__ == "__main__":
    ScriptedModel(Path(sys.argv[1])).run()
