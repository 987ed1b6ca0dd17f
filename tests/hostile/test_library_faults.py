"""Faults of a caller's program that the library has to live with: Ctrl-C and forks."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from support.command import run_code

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform == "win32", reason="uses signals and forks"),
]

IMPORTS = """
import os, signal, sys, threading
from deepseek_r1 import CPUInference
"""


def finished(source: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A program of the library's caller that has ended."""
    return run_code(IMPORTS + textwrap.dedent(source), *arguments)


@pytest.mark.slow
@pytest.mark.parametrize("when", ["0.0", "0.5", "0.9"])
def test_ctrl_c_in_a_load_is_a_keyboard_interrupt(starter: Path, when: str) -> None:
    source = """
    interrupted = []

    def on_progress(fraction):
        if fraction >= float(sys.argv[2]) and not interrupted:
            interrupted.append(fraction)
            signal.raise_signal(signal.SIGINT)
        return True

    try:
        CPUInference(sys.argv[1], on_progress=on_progress)
    except KeyboardInterrupt:
        print("interrupted")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with CPUInference(sys.argv[1]) as model:
        print(len(model.generate("Hello", 4)) > 0)
    """
    done = finished(source, starter, when)
    assert done.stdout.split() == ["interrupted", "True"], done.stderr
    assert "ignored" not in done.stderr


def test_ctrl_c_at_the_start_of_a_load_leaves_no_other_trace(starter: Path) -> None:
    """The renderer's process is just being started then."""
    source = """
    threading.Timer(float(sys.argv[2]), signal.raise_signal, (signal.SIGINT,)).start()
    try:
        with CPUInference(sys.argv[1]) as model:
            model.generate("Hello", 4)
    except KeyboardInterrupt:
        pass
    """
    for after_s in ("0.02", "0.05", "0.1"):
        done = finished(source, starter, after_s)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_model_refuses_to_work_in_a_forked_process(starter: Path) -> None:
    source = """
    from deepseek_r1.core.errors import ModelOfAnotherProcess

    model = CPUInference(sys.argv[1])
    model.generate("Hello", 2)
    child = os.fork()
    if child == 0:
        try:
            model.generate("Hello", 2)
        except ModelOfAnotherProcess as error:
            print("forked" in str(error), flush=True)
        sys.exit(0)  # with the exit handlers, which must not wait for the engine either
    print(os.waitpid(child, 0)[1], flush=True)
    print(len(model.generate("Hello", 2)) > 0)
    model.close()
    """
    done = finished(source, starter)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "0", "True"], done.stderr


def test_an_interrupted_streamed_answer_ends_and_the_next_one_is_written(starter: Path) -> None:
    source = """
    options = {"memory_budget": 256, "context_length": 4096, "swap_enabled": True}
    endless = {"type": "array", "items": {"const": 7}, "minItems": 1000}
    with CPUInference(sys.argv[1], **options) as model:
        assert model.weights_stats is not None
        for delay in (0.1, 0.17, 0.23, 0.31):
            timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
            timer.start()
            try:
                model.generate("Count.", 4000, json_schema=endless)
                print("swallowed")
            except KeyboardInterrupt:
                print("interrupted")
            timer.join()
        print(len(model.generate("Hello", 2)) > 0)
    """
    done = finished(source, starter)
    assert done.stdout.split() == ["interrupted"] * 4 + ["True"], done.stderr


def test_a_signal_handler_of_the_program_stays(starter: Path) -> None:
    source = """
    seen = []
    signal.signal(signal.SIGINT, lambda *_: seen.append(1))

    def on_progress(fraction):
        if not seen:
            signal.raise_signal(signal.SIGINT)
        return True

    with CPUInference(sys.argv[1], on_progress=on_progress):
        print(len(seen))
    """
    done = finished(source, starter)
    assert done.stdout.split() == ["1"], done.stderr
