"""Open broken files from before GGUF through the library; no file may end this process.

    python tests/hostile/fuzz_old_files.py --count 100000 --seed 1
    python tests/hostile/fuzz_old_files.py --seconds 600 --keep /tmp/found
    python tests/hostile/fuzz_old_files.py --seed 1 --first 4711 --count 1

Two thirds of the files are refused by their header. The others are opened in the library's child
process, with its lock, and generate two tokens.

The exit status is 1 if a file was neither answered nor refused within eight seconds, or if a
process used more memory than it may. Ctrl-C ends the trial; the verdicts so far are printed.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import psutil

HERE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HERE.parent / "app"), str(HERE)]

from deepseek_r1 import CPUInference
from deepseek_r1.core.errors import EngineDied, R1Error
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.formats.ggml_file import is_ggml
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.inference import loading
from deepseek_r1.memory import legacy_costs
from deepseek_r1.memory.meter import peak_mib
from deepseek_r1.memory.plan import LEGACY_PROCESS_MIB
from support.ggml_files import FAMILIES

LONGEST_S = 8.0
ABANDONED_S = 60.0  # then the file's process is killed, so that the trial goes on
CONTEXT = 256
PROGRESS_EVERY = 500
HEAD_BYTES = 64  # where the sizes are
_NUMBERS = (0, 1, 2, 3, 7, 8, 16, 32, 63, 64, 127, 255, 1024, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
GREEDY = SamplingSettings(temperature=0.0, max_tokens=2)


def mutants(seed: int, folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield broken copies of a file of each family for ever, with the family's name."""
    sound = {name: make(folder / f"{name}.bin").read_bytes() for name, make in FAMILIES.items()}
    chosen = random.Random(seed)
    while True:
        family = chosen.choice(sorted(sound))
        raw = bytearray(sound[family])
        for _ in range(chosen.choice((1, 1, 1, 2, 4))):
            _break(raw, chosen)
        yield family, bytes(raw)


def _break(raw: bytearray, chosen: random.Random) -> None:
    """Change a bit, a number or two bytes somewhere, or cut the end off."""
    vocabulary = min(len(raw), 6000)
    end = chosen.choice((HEAD_BYTES, HEAD_BYTES, vocabulary, vocabulary, len(raw)))
    at = chosen.randrange(4, max(5, end))
    match chosen.randrange(5):
        case 0:
            raw[at : at + 1] = bytes([raw[at % len(raw)] ^ 1 << chosen.randrange(8)])
        case 1:
            at -= at % 4
            raw[at : at + 4] = chosen.choice(_NUMBERS).to_bytes(4, "little")
        case 2:
            at -= at % 4
            near = int.from_bytes(raw[at : at + 4], "little") + chosen.choice((-1, 1, 4, -4))
            raw[at : at + 4] = (near & 0xFFFFFFFF).to_bytes(4, "little")
        case 3:
            raw[at : at + 2] = chosen.randbytes(2)
        case _:
            del raw[chosen.randrange(at, len(raw)) :]


@dataclass
class Findings:
    """The results of a trial."""

    verdicts: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    peak_mib: float = 0.0  # of an engine's process
    bad: list[str] = field(default_factory=list)  # files that broke a limit, and how


def verdict_of(path: Path, found: Findings) -> str:
    """Open a file in the library. Returns the name of its error, or "answered"."""
    try:
        if not is_ggml(path):
            return "not old"
        with CPUInference(path, context_length=CONTEXT, thread_count=1) as model:
            model.complete("hello", sampling=GREEDY)
            used_mib = peak_mib(model._runner.require_engine()._model.process_id)
    except R1Error as error:
        how = error.facts.get("how", "") if isinstance(error, EngineDied) else ""
        return f"{type(error).__name__} {how}".strip()
    found.peak_mib = max(found.peak_mib, used_mib)
    if used_mib > allowed_mib(path):
        found.bad.append(f"{used_mib:.0f} of {allowed_mib(path):.0f} MiB")
    return "answered"


def allowed_mib(path: Path) -> float:
    """Return the MiB that the memory plan has for the process that opens the file."""
    header = read_header(path)
    parts = legacy_costs.fixed_mib(header, LoadSettings(context_length=CONTEXT))
    return LEGACY_PROCESS_MIB + legacy_costs.weights_mib(header) + sum(parts.values())


def open_mutant(path: Path, data: bytes, found: Findings, name: str) -> str:
    """Open a file and record its time and memory. Returns its verdict."""
    path.write_bytes(data)
    began, bad = time.monotonic(), len(found.bad)
    with _ended_after(ABANDONED_S):
        verdict = verdict_of(path, found)
    took_s = time.monotonic() - began
    found.slowest_s = max(found.slowest_s, took_s)
    if took_s > LONGEST_S:
        found.bad.append(f"{verdict} after {took_s:.1f} s")
    found.bad[bad:] = [f"{name}: {each}" for each in found.bad[bad:]]
    return verdict


@contextlib.contextmanager
def _ended_after(seconds: float) -> Iterator[None]:
    """Kill the engine's process if the block takes longer, so that the trial goes on."""

    def end() -> None:
        for each in psutil.Process().children(recursive=True):
            if ChildKind.OLD_MODEL.value.module in each.cmdline():
                each.kill()

    timer = threading.Timer(seconds, end)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def trial(
    seed: int,
    count: int,
    seconds: float = float("inf"),
    *,
    first: int = 0,
    keep: Path | None = None,
) -> Findings:
    """Open up to `count` files for up to `seconds`. `keep`: for those that end the engine."""
    found, began = Findings(), time.monotonic()
    memory = Path("/dev/shm")  # saves writes to the disk
    with (
        _without_renderer(),
        tempfile.TemporaryDirectory(
            prefix="fuzz-old-", dir=memory if memory.is_dir() else None
        ) as name,
    ):
        every = enumerate(mutants(seed, Path(name)))
        for number, (family, data) in itertools.islice(every, first, first + count):
            if time.monotonic() - began > seconds:
                break
            try:
                verdict = open_mutant(
                    Path(name) / "mutant.bin", data, found, f"{number} ({family})"
                )
            except KeyboardInterrupt:
                break
            found.verdicts[verdict] += 1
            if number % PROGRESS_EVERY == 0:
                print(
                    f"{number} files in {time.monotonic() - began:.0f} s, slowest "
                    f"{found.slowest_s:.1f} s, {len(found.bad)} bad, {dict(found.verdicts)}",
                    file=sys.stderr,
                    flush=True,
                )
            if keep is not None and verdict.startswith("EngineDied"):
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{number:06d}-{family}.bin").write_bytes(data)
    return found


@contextlib.contextmanager
def _without_renderer() -> Iterator[None]:
    """Start no template renderer: old files have no templates, and each load would start one."""
    with (
        mock.patch.object(loading, "start_renderer"),
        mock.patch.object(loading, "end_renderer"),
    ):
        yield


def main() -> int:
    """Run the command line. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same files")
    parser.add_argument("--first", type=int, default=0, help="number of the first file to open")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after this time")
    parser.add_argument("--keep", type=Path, help="folder for the files that ended the child")
    options = parser.parse_args()
    began = time.monotonic()
    found = trial(
        options.seed,
        options.count,
        options.seconds,
        first=options.first,
        keep=options.keep,
    )
    for verdict, count in found.verdicts.most_common():
        print(f"{count:>8}  {verdict}")
    for line in found.bad:
        print(line)
    print(
        f"{sum(found.verdicts.values())} files in {time.monotonic() - began:.0f} s, slowest "
        f"{found.slowest_s:.1f} s, an engine's process at most {found.peak_mib:.0f} MiB, this one "
        f"{peak_mib():.0f} MiB, {len(found.bad)} broke a limit"
    )
    return int(bool(found.bad))


if __name__ == "__main__":
    raise SystemExit(main())
