"""Open broken files from before GGUF through the library; no file may end this process.

    python tests/hostile/fuzz_old_files.py --count 100000 --seed 1
    python tests/hostile/fuzz_old_files.py --seconds 600 --keep /tmp/found

Most files are refused by their header. The rest is opened and answers two tokens, in the library's
child process. Ends with 1 if a file got no verdict of ours within eight seconds. Ctrl-C ends it
with the verdicts so far.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HERE.parent / "app"), str(HERE)]

from deepseek_r1 import CPUInference
from deepseek_r1.core.errors import EngineDied, R1Error
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.formats.gguf import read_header
from support.ggml_files import FAMILIES

LONGEST_S = 8.0
PROGRESS_EVERY = 500
HEAD_BYTES = 64  # where the sizes are
_NUMBERS = (0, 1, 2, 3, 7, 8, 16, 32, 63, 64, 127, 255, 1024, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
GREEDY = SamplingSettings(temperature=0.0, max_tokens=2)


def mutants(seed: int, folder: Path) -> Iterator[tuple[str, bytes]]:
    """Endless broken copies of a file of each family, with the family's name."""
    sound = {name: make(folder / f"{name}.bin").read_bytes() for name, make in FAMILIES.items()}
    chosen = random.Random(seed)
    while True:
        family = chosen.choice(sorted(sound))
        raw = bytearray(sound[family])
        for _ in range(chosen.choice((1, 1, 1, 2, 4))):
            _break(raw, chosen)
        yield family, bytes(raw)


def _break(raw: bytearray, chosen: random.Random) -> None:
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


def verdict_of(path: Path) -> str:
    """The name of the error that the file got, or "answered"."""
    try:
        if not read_header(path).legacy:
            return "not old"
        with CPUInference(path, context_length=256, thread_count=1) as model:
            model.complete("hello", sampling=GREEDY)
    except R1Error as error:
        how = error.facts.get("how", "") if isinstance(error, EngineDied) else ""
        return f"{type(error).__name__} {how}".strip()
    return "answered"


def trial(seed: int, count: int, seconds: float, keep: Path | None = None) -> tuple[Counter, float]:
    """Try files until one of the limits. Returns the verdicts' counts and the slowest's seconds."""
    verdicts: Counter[str] = Counter()
    slowest, began = 0.0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-old-") as name:
        folder = Path(name)
        path = folder / "mutant.bin"
        for number, (family, data) in enumerate(mutants(seed, folder)):
            if number >= count or time.monotonic() - began > seconds:
                break
            path.write_bytes(data)
            started = time.monotonic()
            try:
                verdict = verdict_of(path)
            except KeyboardInterrupt:
                break
            slowest = max(slowest, time.monotonic() - started)
            verdicts[verdict] += 1
            if number % PROGRESS_EVERY == 0:
                print(f"{number} files, slowest {slowest:.1f} s", file=sys.stderr)
            if keep is not None and verdict.startswith("EngineDied"):
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{number:06d}-{family}.bin").write_bytes(data)
    return verdicts, slowest


def main() -> int:
    """Run as the options say; the exit code is the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same files")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after this time")
    parser.add_argument("--keep", type=Path, help="folder for the files that ended the child")
    options = parser.parse_args()
    verdicts, slowest = trial(options.seed, options.count, options.seconds, options.keep)
    for verdict, count in verdicts.most_common():
        print(f"{count:>8}  {verdict}")
    print(f"slowest verdict: {slowest:.1f} s")
    return int(slowest > LONGEST_S)


if __name__ == "__main__":
    raise SystemExit(main())
