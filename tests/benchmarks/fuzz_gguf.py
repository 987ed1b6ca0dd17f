"""Open broken model files through the real engine process and see that each is answered properly.

    python tests/benchmarks/fuzz_gguf.py --count 2000 --seed 7
    python tests/benchmarks/fuzz_gguf.py --seconds 600 --keep /tmp/found

Ends with 1 if any file got no message of ours within ten seconds, or if more than one in a
thousand made the engine die. `--keep` saves those files.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HERE.parent / "app"), str(HERE)]

from support.file_verdicts import CheckedFile, Verdict, checked_mutants, summary

MOST_DEATHS = 0.001  # of all files


def main() -> int:
    """Run as the options say; the exit code is the verdict."""
    options = _options()
    checked: list[CheckedFile] = []
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="fuzz-gguf-") as folder:
        for each in checked_mutants(Path(folder), options.seed, options.count):
            checked.append(replace(each, data=b""))  # a long campaign would fill the memory
            if each.verdict in (Verdict.VIOLATION, Verdict.DIED):
                _show(each, len(checked), options.keep)
            if options.seconds and time.perf_counter() - start > options.seconds:
                break
    seconds = time.perf_counter() - start
    _print_table(checked, seconds, options.seed)
    verdicts = Counter(each.verdict for each in checked)
    deaths_allowed = max(1, int(len(checked) * MOST_DEATHS))
    return int(verdicts[Verdict.VIOLATION] > 0 or verdicts[Verdict.DIED] > deaths_allowed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=2000, help="files to open")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same files")
    parser.add_argument("--seconds", type=float, help="stop after this time")
    parser.add_argument("--keep", type=Path, help="folder for the files that broke something")
    return parser.parse_args()


def _show(each: CheckedFile, number: int, keep: Path | None) -> None:
    print(f"{each.verdict} #{number} ({each.label}, {each.seconds:.1f} s) {each.code}: {each.text}")
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        (keep / f"{number:06d}-{each.code}.gguf").write_bytes(each.data)


def _print_table(checked: list[CheckedFile], seconds: float, seed: int) -> None:
    counts = summary(checked)
    print(f"\n{'verdict':<46} {'message':<22} {'files':>6} {'share':>7}")
    for (verdict, code), count in sorted(counts.items(), key=lambda item: -item[1]):
        print(f"{verdict:<46} {code:<22} {count:>6} {count / len(checked):>7.2%}")
    slowest = max((each.seconds for each in checked), default=0.0)
    print(
        f"\n{len(checked)} files, seed {seed}: {seconds:.1f} s, {len(checked) / seconds:.0f}/s,"
        f" the slowest verdict {slowest:.2f} s"
    )


if __name__ == "__main__":
    raise SystemExit(main())
