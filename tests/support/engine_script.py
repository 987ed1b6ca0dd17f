"""What the scripted engine does in place of a model, as a test writes it.

    engine = EngineScript(tmp_path)
    engine.answers(thinks("Fruit or nut?"), says("A nut."))
    engine.answers(says("Once upon "), waits_for(engine.gate("more")), says("a time."))
    engine.loads(progress(0.4), waits(1.0))
    engine.knows(reasons=True, context_trained=512)

The engine reads it with every request, so a test may change it at any time. What is not written is
plain: every file that exists is loaded, and `PLAIN_ANSWER` is the answer to everything. What the
engine was asked for, `received` tells.
"""

import json
import sys
from pathlib import Path
from typing import Any

from deepseek_r1.core.errors import R1Error
from deepseek_r1.host import protocol

SCRIPTED_MODEL = Path(__file__).resolve().parents[1] / "host" / "scripted_model.py"
PLAIN_ANSWER = "An answer of some words."
Act = tuple[str, Any]  # its name and its value, as `host/scripted_model.py` performs it


# ---- what an answer is made of ------------------------------------------------------------------


def says(text: str) -> Act:
    """Write this text, a word at a time."""
    return "say", text


def repeats(token_s: float) -> Act:
    """Write the question, a word in so many seconds."""
    return "repeat", token_s


def thinks(text: str) -> Act:
    """Write this text as thinking; the next `says` closes it."""
    return "think", text


def goes_on(words: str = "and on ") -> Act:
    """Write these words again and again until the answer is stopped."""
    return "go_on", words


def thinks_on(words: str = "or else ") -> Act:
    """Think these words again and again until the answer is stopped or wanted now."""
    return "think_on", words


def reads(share: float) -> Act:
    """Have read this share of the prompt so far; first in an answer."""
    return "read", share


def waits(seconds: float) -> Act:
    """Do nothing for a while, unless the request is cancelled."""
    return "wait", seconds


def waits_for(gate: Path) -> Act:
    """Do nothing until a gate is opened or the request is cancelled."""
    return "gate", str(gate)


def refuses(error: R1Error) -> Act:
    """Fail the request."""
    return "refuse", error.report().model_dump(mode="json")


def crashes(signal: str = "SIGSEGV") -> Act:
    """End the process by a signal."""
    return "signal", signal


def freezes() -> Act:
    """Do nothing any more, and give no sign of life."""
    return "freeze", None


# ---- what a load is made of ---------------------------------------------------------------------


def progress(fraction: float) -> Act:
    """Have read this share of the weights."""
    return "progress", fraction


class EngineScript:
    """The script of one engine, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "engine"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._script: dict[str, Any] = {
            "version": protocol.VERSION, "plain": PLAIN_ANSWER, "answers": [], "loads": [],
            "prepares": [], "facts": {},
        }  # fmt: skip
        self._write()

    @property
    def command(self) -> list[str]:
        """The command line of the engine that performs this script."""
        return [sys.executable, "-I", "-S", str(SCRIPTED_MODEL), str(self._file)]

    def answers(self, *acts: Act, to: str = "") -> None:
        """Answer so from now on; with `to`, only questions that contain this text."""
        others = [rule for rule in self._script["answers"] if rule[0] != to]
        self._script["answers"] = sorted([*others, [to, acts]], key=lambda rule: -len(rule[0]))
        self._write()

    def loads(self, *acts: Act) -> None:
        """Load every file so from now on."""
        self._script["loads"] = acts
        self._write()

    def prepares(self, *acts: Act) -> None:
        """Compute the next turn so from now on."""
        self._script["prepares"] = acts
        self._write()

    def knows(self, **facts: object) -> None:
        """Have models with these `ModelFacts`."""
        self._script["facts"] |= facts
        self._write()

    def gate(self, name: str) -> Path:
        """A gate for `waits_for`; it is shut until `open_gate`."""
        return self._folder / f"{name}.open"

    def open_gate(self, name: str) -> None:
        """Let go on what waits at a gate."""
        self.gate(name).touch()

    def received(self, kind: type[protocol.AnsweredRequest] | None = None) -> list[Any]:
        """The requests that the engine has received so far, all or those of one kind."""
        if not self._journal.exists():
            return []
        lines = self._journal.read_text(encoding="utf-8").splitlines()
        requests = [protocol.request_adapter.validate_json(line) for line in lines]
        return [each for each in requests if kind is None or isinstance(each, kind)]

    @property
    def _file(self) -> Path:
        return self._folder / "script.json"

    @property
    def _journal(self) -> Path:
        return self._folder / "received.jsonl"

    def _write(self) -> None:
        """Replace the file in one step: the engine may be reading it."""
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(self._script), encoding="utf-8")
        new.replace(self._file)
