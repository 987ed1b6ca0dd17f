"""Render changed chat templates; none may hang, or use more memory than a template has.

    python tests/hostile/fuzz_templates.py --count 10000 --seed 1 [--folder FOLDER]

The originals are the published templates and the hostile ones of the tests, and with `--folder`
every `*.jinja` of a folder (llama.cpp's source has about seventy in `models/templates`). Each
template is tried out as the one of a model file is, and where it is usable it renders a
conversation.
Ends with 1 if one took more than eight seconds, the renderer more than its memory, or an error came
that is not ours. Ctrl-C ends it with the verdicts so far.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HERE.parent / "app"), str(HERE)]

from deepseek_r1.core.errors import TemplateUnusable
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.template_names import TEMPLATE_NAMES
from deepseek_r1.engine.prompt.template import ChatTemplate
from deepseek_r1.engine.prompt.template_families import _SOURCES
from deepseek_r1.engine.prompt.template_process import end_renderer, renderer_pid
from deepseek_r1.memory.meter import peak_mib
from support.hostile_templates import HOSTILE
from support.template_mutants import template_mutants

LONGEST_S = 8.0
MOST_MIB = 120.0  # of the renderer: its own, a template's 64, and 64 bytes for each of its source's
PROGRESS_EVERY = 500
UNEXPECTED = "no refusal of ours:"
HOSTILE_SHARE = 0.15  # of the templates; each takes its whole time
CONVERSATION = [
    Message(role=Role.SYSTEM, content="Be brief."),
    Message(role=Role.USER, content="What is 1+1? " * 20),
    Message(role=Role.ASSISTANT, content="<think>\nEasy.\n</think>\n\n2"),
    Message(role=Role.USER, content="And {{ 2+2 }}? 深度求索"),
]


@dataclass
class Findings:
    """What a trial found."""

    verdicts: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    peak_mib: float = 0.0
    bad: list[str] = field(default_factory=list)  # templates that broke a limit


class _MemoryWatch:
    """Notes the renderer's peak: it may be gone when a rendering has ended."""

    def __init__(self) -> None:
        self.most_mib = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> _MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def read(self) -> None:
        """Take one reading now."""
        pid = renderer_pid()
        if pid is not None:
            self.most_mib = max(self.most_mib, peak_mib(pid))

    def _run(self) -> None:
        while not self._ended.wait(0.02):
            self.read()


def sources(folder: Path | None) -> list[str]:
    """The published templates."""
    files = [HERE / "engine" / "r1_distill_qwen.jinja"]
    files += sorted((HERE / "convert" / "reference").rglob("*.jinja"))
    files += sorted(folder.rglob("*.jinja")) if folder is not None else []
    return [path.read_text("utf-8") for path in files] + [_SOURCES[each] for each in TEMPLATE_NAMES]


def templates(seed: int, folder: Path | None) -> Iterator[str]:
    """Endless templates to try."""
    chosen = random.Random(seed)
    real = template_mutants(sources(folder), seed)
    hostile = template_mutants([each for each in HOSTILE.values() if each], seed)
    while True:
        yield next(hostile if chosen.random() < HOSTILE_SHARE else real)


def verdict_of(source: str) -> str:
    """The kind of the refusal, or "rendered"."""
    try:
        ChatTemplate(source).render(CONVERSATION, bos="<s>", eos="</s>")
    except TemplateUnusable as error:
        detail = str(error.facts.get("detail", ""))
        if "exceeds the limits" in detail:
            return "over a limit"
        return "no template" if detail.startswith("TemplateSyntaxError") else "refused"
    except Exception as error:  # noqa: BLE001 - exactly what this looks for
        return f"{UNEXPECTED} {type(error).__name__}: {error}"[:200]
    return "rendered"


def trial(
    seed: int, count: int, folder: Path | None = None, seconds: float = float("inf")
) -> Findings:
    """Try templates until one of the limits."""
    found, start = Findings(), time.monotonic()
    every = templates(seed, folder)
    end_renderer()  # the peak of an earlier one is not this trial's
    with _MemoryWatch() as memory:
        for number in range(count):
            if time.monotonic() - start > seconds:
                break
            source = next(every)
            began = time.monotonic()
            try:
                verdict = verdict_of(source)
            except KeyboardInterrupt:
                break
            took_s = time.monotonic() - began
            memory.read()
            found.verdicts[verdict] += 1
            found.slowest_s = max(found.slowest_s, took_s)
            if memory.most_mib > MOST_MIB:
                end_renderer()  # its peak stays as long as it runs
            if took_s > LONGEST_S or memory.most_mib > MOST_MIB or UNEXPECTED in verdict:
                found.bad.append(source)
            found.peak_mib, memory.most_mib = max(found.peak_mib, memory.most_mib), 0.0
            if number % PROGRESS_EVERY == 0:
                print(
                    f"{number} templates, slowest {found.slowest_s:.1f} s, "
                    f"peak {found.peak_mib:.0f} MiB",
                    file=sys.stderr,
                    flush=True,
                )
    return found


def main() -> int:
    """Run as the options say; the exit code is the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same ones")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after this time")
    parser.add_argument("--folder", type=Path, help="more templates to begin with")
    parser.add_argument("--keep", type=Path, help="folder for the templates that broke a limit")
    options = parser.parse_args()
    began = time.monotonic()
    found = trial(options.seed, options.count, options.folder, options.seconds)
    for verdict, count in found.verdicts.most_common():
        print(f"{count:>7}  {verdict}")
    print(
        f"{sum(found.verdicts.values())} templates in {time.monotonic() - began:.0f} s, slowest "
        f"{found.slowest_s:.1f} s, renderer at most {found.peak_mib:.0f} MiB, "
        f"{len(found.bad)} broke a limit"
    )
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
        for number, source in enumerate(found.bad):
            (options.keep / f"{number:04d}.jinja").write_text(source, "utf-8", "surrogatepass")
    return int(bool(found.bad))


if __name__ == "__main__":
    raise SystemExit(main())
