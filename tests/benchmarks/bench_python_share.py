"""How much of the time for a token passes in Python, and not in llama.cpp or waiting for the disk?

    .venv/bin/python tests/benchmarks/bench_python_share.py MODEL [--budgets 1000 0] [--tokens 60]
        [--threads 1] [--beside 1] [--json]

For each budget (MiB; 0 has the model in memory whole) an answer is written as the engine's process
writes it, each event packed as a frame for the window. The clock stands in C around llama.cpp's
functions and around what its callback asks of Python (`tests/support/native_clock.py`); a C
compiler is needed.

    Python = time from the prompt's end to the answer's
             - inside llama_decode and llama_sampler_sample, as C sees it
             + inside Python's part of the callback, as C sees it
             - waiting there for weights that are read

So Python's part includes ctypes, every wait for the interpreter's lock, and small native calls such
as a token's text. The threads that read the disk are not part of it: they run beside.

`--beside N` has N threads of this program compute in Python all the while, as an application may
that uses the engine and does something else as well. Leave them cores with `--threads`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path[:0] = [
    str(Path(__file__).resolve().parents[2] / "app"),
    str(Path(__file__).resolve().parents[1]),
]

from deepseek_r1 import CPUInference
from deepseek_r1.core import frames
from deepseek_r1.core.events import GenerationEvent, PrefillProgress
from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.hardware import cpu
from deepseek_r1.host import protocol
from deepseek_r1.host.worker import TEXT_EVERY_S
from support.native_clock import NativeClock, native_clock

_PLENTY_MIB = 65536


@dataclass(frozen=True)
class Share:
    """Milliseconds for a token, and how many of them are whose."""

    token_ms: float
    native_ms: float
    disk_wait_ms: float
    callback_ms: float  # Python's, inside llama.cpp's computing
    loop_ms: float  # Python's, between two computations
    calls: float  # of Python's part of it
    share: float  # Python's part of `token_ms`


def python_share(
    clock: NativeClock, events: Iterator[GenerationEvent], io_wait_s: Callable[[], float]
) -> Share:
    """Of an answer that was asked for and not begun. `io_wait_s` counts the waits for the disk."""
    for event in events:
        if isinstance(event, PrefillProgress) and event.done == event.total:
            break
    began, before, waited_s = time.perf_counter(), clock.read(), io_wait_s()
    for event in events:
        frames.pack(protocol.EventReply(id=1, event=event), frames.FROM_CHILD_CAP)
    seconds, passed = time.perf_counter() - began, clock.read() - before
    waited_s = io_wait_s() - waited_s
    count = passed.decodes
    callback_s = passed.callback_s - (waited_s - passed.ring_wait_s)
    loop_s = seconds - passed.decode_s - passed.sample_s
    return Share(
        token_ms=1000 * seconds / count,
        native_ms=1000 * (passed.decode_s + passed.sample_s - waited_s - callback_s) / count,
        disk_wait_ms=1000 * waited_s / count,
        callback_ms=1000 * callback_s / count,
        loop_ms=1000 * loop_s / count,
        calls=passed.callbacks / count,
        share=(callback_s + loop_s) / seconds,
    )


@contextmanager
def busy(threads: int) -> Iterator[None]:
    """So many threads that never let go of Python's lock by themselves."""
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            sum(range(100))

    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in running:
            thread.join()


def _measured(
    clock: NativeClock, path: Path, budget_mib: int, tokens: int, threads: int, beside: int
) -> Share:
    settings = LoadSettings(
        threads=threads,
        memory_budget=budget_mib or _PLENTY_MIB,
        context_length=1024,
        swap_enabled=bool(budget_mib),
    )
    sampling = SamplingSettings(temperature=0.9, max_tokens=tokens)

    def io_wait_s() -> float:
        return model.weights_stats.io_wait_s if model.weights_stats is not None else 0.0

    with CPUInference(path, settings=settings) as model:
        events = model.stream(
            "Write on and on about a dragon.", sampling=sampling, text_every_s=TEXT_EVERY_S
        )
        with busy(beside):
            return python_share(clock, events, io_wait_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, nargs="?", default=starter_model())
    parser.add_argument("--budgets", type=int, nargs="+", default=[0])
    parser.add_argument("--tokens", type=int, default=60)
    parser.add_argument("--threads", type=int, default=0, help="0 is automatic")
    parser.add_argument("--beside", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder, native_clock(Path(folder)) as clock:
        if not given.json:
            print(f"{cpu().name}, {cpu().usable_cores} cores; {given.model.name}; ms for a token")
        for budget_mib in given.budgets:
            row = _measured(
                clock, given.model, budget_mib, given.tokens, given.threads, given.beside
            )
            rows.append(asdict(row) | {"budget_mib": budget_mib})
            if not given.json:
                print(
                    f"{f'{budget_mib} MiB' if budget_mib else 'in memory':>10}: "
                    f"{row.token_ms:8.2f} = native {row.native_ms:.2f} + disk "
                    f"{row.disk_wait_ms:.2f} + callback {row.callback_ms:.3f} "
                    f"({row.calls:.0f} calls) + loop {row.loop_ms:.3f}; Python {row.share:.2%}",
                    flush=True,
                )
    if given.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
