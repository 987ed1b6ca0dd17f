"""Classifies crashes: why a process ended, from its exit code and the end of its stderr."""

import re

from deepseek_r1.core.child_process import signal_name
from deepseek_r1.core.errors import EngineDied, EngineOutOfMemory, R1Error, SystemTooTight
from deepseek_r1.core.i18n import N_, join_sentences, tr

# Windows reports a fault as an NTSTATUS exit code.
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
_WINDOWS_ABORT = 3  # the C runtime's, where a handler has written its trace
_WINDOWS_OUT_OF_MEMORY = {0xC0000017, 0xC000012D, 0xC000009A}

_MEANINGS = {
    "abort": N_("It reached a state from which it cannot go on."),
    "SIGSEGV": N_("It used memory that is not its own."),
    "SIGBUS": N_("A file it was reading went away or became shorter."),
    "SIGILL": N_("This processor lacks an instruction that the engine was built for."),
    "SIGFPE": N_("It met an impossible calculation."),
    "SIGTERM": N_("Another program asked it to end."),
}

# Python's crash trace, a debugger's output and stack frames do not help a reader.
_NOISE = re.compile(
    r"^(\s+(?!\s|what\(\))|#\d|\[New LWP|\[Thread|Thread 0x|Current thread 0x|Extension modules:"
    r"|0x[0-9a-f]+ in|Aborted|Segmentation fault|Traceback |warning: )"
)
_SIGNIFICANT = re.compile(r"assert|error|fail|abort|terminate|what\(\):|exception|invalid", re.I)
_SENTENCE_CHARACTERS = 400
_LIMITS = ("can't start new thread", "Too many open files", "Resource temporarily unavailable")


def classify(returncode: int, stderr: str) -> R1Error:
    """The error to show for a process's unexpected exit."""
    how = _exit_name(returncode, stderr)
    if how == "SIGKILL" or returncode & 0xFFFFFFFF in _WINDOWS_OUT_OF_MEMORY:
        return EngineOutOfMemory(how=how)
    text = last_error_line(stderr)
    if is_limit(text):
        return SystemTooTight(detail=text)
    if not text:
        text = tr(_MEANINGS[how]) if how in _MEANINGS else tr("It left no message.")
    return EngineDied(how=how, detail=text if text.endswith((".", "!", "。")) else f"{text}.")


def is_limit(text: str) -> bool:
    """Whether an error is that the system gives no more threads, processes or files."""
    return any(each in text for each in _LIMITS)


def in_short(error: R1Error) -> str:
    """The error's first two sentences, for a message that has its own advice."""
    what, why, _ = error.sentences()
    return join_sentences((what, why))


def last_error_line(stderr: str) -> str:
    """The last significant line of standard error; empty where there is none."""
    before_trace = stderr.split("Fatal Python error:", 1)[0]
    lines = [line.strip() for line in before_trace.splitlines() if not _NOISE.match(line)]
    lines = ["".join(c if c.isprintable() else " " for c in line) for line in lines if line]
    significant = [line for line in lines if _SIGNIFICANT.search(line)]
    return (significant or lines or [""])[-1][:_SENTENCE_CHARACTERS]


def _exit_name(returncode: int, stderr: str) -> str:
    """A signal's name, "abort", or "exit code N"."""
    if returncode < 0:
        name = signal_name(returncode)
        return "abort" if name == "SIGABRT" else name
    fault = _WINDOWS_FAULTS.get(returncode)
    if returncode == _WINDOWS_ABORT and "Fatal Python error: Aborted" in stderr:
        fault = "abort"  # a program of its own may end with that code, too
    return fault or tr("exit code {code}", code=returncode)
