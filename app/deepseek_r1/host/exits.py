"""Why a process ended, told from its exit code and its last words."""

from __future__ import annotations

import re
import signal

from deepseek_r1.core.errors import EngineDied, EngineOutOfMemory, R1Error
from deepseek_r1.core.words import N_, sentences, tr

# Windows reports a fault as an NTSTATUS exit code; the C runtime's abort is code 3.
_WINDOWS_FAULTS = {
    0xC0000005: "SIGSEGV",
    0xC000001D: "SIGILL",
    0xC0000006: "SIGBUS",
    0xC0000094: "SIGFPE",
    0xC00000FD: "SIGSEGV",
    0xC0000374: "abort",
    0xC0000409: "abort",
    0x40000015: "abort",
}
_WINDOWS_OUT_OF_MEMORY = {0xC0000017, 0xC000012D, 0xC000009A}

_MEANINGS = {
    "abort": N_("It met a state it could not go on from."),
    "SIGSEGV": N_("It used memory that is not its own."),
    "SIGBUS": N_("A file it was reading went away or became shorter."),
    "SIGILL": N_("This processor lacks an instruction that the engine was built for."),
    "SIGFPE": N_("It met an impossible calculation."),
    "SIGTERM": N_("Another program asked it to end."),
}

# Python's crash trace, a debugger's chatter and frames of a stack say nothing to a reader.
_NOISE = re.compile(
    r"^(\s+(?!\s|what\(\))|#\d|\[New LWP|\[Thread|Thread 0x|Current thread 0x|Extension modules:"
    r"|0x[0-9a-f]+ in|Aborted|Segmentation fault|Traceback |warning: )"
)
_TELLING = re.compile(r"assert|error|fail|abort|terminate|what\(\):|exception|invalid", re.I)
_SENTENCE_CHARACTERS = 400


def classify(returncode: int, stderr: str) -> R1Error:
    """The error that a process's unexpected end means to the user."""
    how = _how(returncode)
    if how == "SIGKILL" or returncode & 0xFFFFFFFF in _WINDOWS_OUT_OF_MEMORY:
        return EngineOutOfMemory(how=how)
    words = last_words(stderr)
    if not words:
        words = tr(_MEANINGS[how]) if how in _MEANINGS else tr("It left no message.")
    return EngineDied(how=how, detail=words if words.endswith((".", "!", "。")) else f"{words}.")


def in_short(error: R1Error) -> str:
    """What happened and why, without what to do: for a message that has its own advice."""
    what, why, _ = error.sentences()
    return sentences((what, why))


def last_words(stderr: str) -> str:
    """The last line of standard error that tells a person something; empty where none does."""
    before_trace = stderr.split("Fatal Python error:", 1)[0]
    lines = [line.strip() for line in before_trace.splitlines() if not _NOISE.match(line)]
    lines = ["".join(c if c.isprintable() else " " for c in line) for line in lines if line]
    telling = [line for line in lines if _TELLING.search(line)]
    return (telling or lines or [""])[-1][:_SENTENCE_CHARACTERS]


def _how(returncode: int) -> str:
    """A signal's name, "abort", or the exit code in words."""
    if returncode < 0:
        try:
            name = signal.Signals(-returncode).name
        except ValueError:
            name = f"signal {-returncode}"
        return "abort" if name == "SIGABRT" else name
    fault = _WINDOWS_FAULTS.get(returncode)
    return fault or tr("exit code {code}", code=returncode)
