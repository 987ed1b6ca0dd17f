"""Runs a model that is larger than its budget under Wine, and compares its memory with its bill."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from build_cache import BUILT, ROOT
from bundle_under_wine import StepFailedError
from wine_prefix import Wine, windows_path

BUDGETS_MIB = (330, 2048)  # the weights take 257 MiB: the first one streams, the second holds them
ANSWER = """
import json, sys
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.host.client import EngineClient

settings = LoadSettings(memory_budget=int(sys.argv[2]), context_length=1024, swap_enabled=True)
sampling = SamplingSettings(temperature=0.0, max_tokens=40)
with EngineClient() as engine:
    bill = engine.load(sys.argv[1], settings, window_mib=0.0).bill
    *events, last = engine.generate("Write a story about a whale.", sampling)
text = "".join(event.text for event in events if event.kind == "answer_delta")
streamed_mib = last.stats.weights.streamed_mib if last.stats.weights else 0.0
print(json.dumps({"text": text, "streamed_mib": streamed_mib, "bill_mib": bill.total_mib,
                  "peak_mib": last.stats.peak_mib}))
"""


def compare_with_bill(session: Wine, python: Path) -> list[str]:
    """Returns a line for each budget: what is streamed, the bill, the peak on Windows' counters.

    Raises StepFailedError, CalledProcessError.
    """
    model = _larger_starter(session, python)
    found = [_answer(session, python, model, budget) for budget in BUDGETS_MIB]
    lines = [
        f"budget {budget} MiB: {each['streamed_mib']:.0f} MiB streamed, bill"
        f" {each['bill_mib']:.0f} MiB, peak {each['peak_mib']:.0f} MiB"
        for budget, each in zip(BUDGETS_MIB, found, strict=True)
    ]
    if not found[0]["streamed_mib"] or found[1]["streamed_mib"]:
        raise StepFailedError(f"the smaller budget alone has to stream: {lines}")
    if found[0]["text"] != found[1]["text"]:
        raise StepFailedError(f"the text depends on the budget: {[each['text'] for each in found]}")
    if any(each["peak_mib"] > each["bill_mib"] for each in found):
        raise StepFailedError("; ".join(lines))
    return lines


def _larger_starter(session: Wine, python: Path) -> Path:
    """Returns the starter model in 16 bits, converted under Wine."""
    model = BUILT / "starter-f16.gguf"
    if not model.is_file():
        starter = next(python.parent.rglob("SmolLM2*.gguf"))
        arguments = ["convert", windows_path(starter), "--precision", "f16"]
        _run(session, python, "-m", "deepseek_r1.cli", *arguments, "--output", windows_path(model))
    return model


def _answer(session: Wine, python: Path, model: Path, budget: int) -> Mapping[str, Any]:
    printed = _run(session, python, "-c", ANSWER, windows_path(model), str(budget))
    found: Mapping[str, Any] = json.loads(printed)
    return found


def _run(session: Wine, python: Path, *arguments: str) -> str:
    variables = {"PYTHONPATH": windows_path(ROOT / "app")}
    done = session.run(python, *arguments, **variables)
    if done.returncode:
        raise subprocess.CalledProcessError(
            done.returncode, list(arguments), done.stdout, done.stderr[-2000:]
        )
    return done.stdout
