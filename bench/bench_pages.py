"""How long pages of a PDF take until they are drawn, and whether the cited sentence is marked.

    .venv/bin/python bench/bench_pages.py FILE.pdf [FILE.pdf …]

For each passage its page is drawn 900 pixels wide, with one of its sentences marked. Prints the
median and the slowest of the times, the first one (with the start of its process), how many
sentences were found, and the most memory of the process.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "app"), str(ROOT / "tests")]

from deepseek_r1.core.processes import ChildKind
from deepseek_r1.documents.page_drawing import PageDrawer
from deepseek_r1.documents.passages import passages
from deepseek_r1.documents.reading import read_document
from deepseek_r1.documents.reading_memory import ReadingMemory
from deepseek_r1.documents.sources import best_sentence
from deepseek_r1.memory.meter import unshared_mib
from support.processes import programs_below

WIDTH_PX = 900


def measure(path: Path) -> str:
    """Draw pages of one file; returns the line that is printed."""
    drawer = PageDrawer(path, path.name, ReadingMemory())
    took_ms, found, most_mib = [], 0, 0.0
    for passage in passages(read_document(path)):
        sentence = best_sentence(passage.text, passage.text[40:160])
        began = time.perf_counter()
        drawn = drawer.draw(passage.place.page or 1, WIDTH_PX, sentence)
        took_ms.append((time.perf_counter() - began) * 1_000)
        found += bool(drawn.marks)
        (reader,) = programs_below(os.getpid(), ChildKind.DOCUMENTS.value.module)
        most_mib = max(most_mib, unshared_mib(reader.pid))
    drawer.close()
    rest = took_ms[1:]
    return (
        f"{path.name}: {len(took_ms)} passages, first {took_ms[0]:.0f} ms, median "
        f"{statistics.median(rest):.0f}, slowest {max(rest):.0f}; {found} sentences marked; "
        f"{most_mib:.0f} MiB"
    )


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(measure(Path(name)), flush=True)
