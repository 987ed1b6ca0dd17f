"""One arm of the budget benchmark in a child process: reads a request, prints its times as JSON."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "app"), str(ROOT / "tests")]

from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.lab.bench.engine_run import ProcessCounters, RunRequest, RunTimes, measure_engine

# Answers about code repeat much of it, which prompt lookup drafts from.
CODE = """
def total_price(items, discount):
    total = 0
    for item in items:
        if item.price is None:
            continue
        total += item.price * item.count
    if discount is not None:
        total -= total * discount.percent / 100
    return round(total, 2)


def total_weight(items):
    total = 0
    for item in items:
        total += item.weight * item.count
    return total
"""
CHANGE_CODE = f"Add type hints to both functions and show the whole file again:\n{CODE}"


class ArmRequest(RunRequest):
    """A run of our engine, or of llama.cpp alone with the file mapped or read to memory."""

    kind: Literal["ours", "drafted", "mapped", "resident"]


def run_llama(request: ArmRequest) -> RunTimes:
    """Times llama.cpp alone."""
    from benchmarks.bare_model import BareModel  # noqa: PLC0415 - not in the arms of our engine

    began, clock = time.monotonic(), time.perf_counter()
    model = BareModel(
        request.model,
        mapped=request.kind == "mapped",
        threads=request.threads,
        context_length=request.context_length,
    )
    prompt = model.decode(request.prompt_tokens, 0)
    before = ProcessCounters()
    written = model.decode(0, request.tokens)
    after = ProcessCounters()
    model.close()
    return RunTimes(
        tok_s=request.tokens / written.decode_s,
        prefill_tok_s=request.prompt_tokens / prompt.prefill_s,
        first_token_s=began + prompt.first_token_at - clock - request.started_at,
        threads=request.threads,
        **after.since(before, request.tokens),
    )


def run_arm(request: ArmRequest) -> RunTimes:
    """Times the arm that the request names."""
    if request.kind == "ours":
        return measure_engine(request)
    if request.kind == "drafted":
        sampled = [SamplingSettings(max_tokens=request.tokens)] * 9  # random: each one differs
        return measure_engine(request.model_copy(update={"prompt": CHANGE_CODE}), sampled)
    return run_llama(request)


if __name__ == "__main__":
    print(run_arm(ArmRequest.model_validate_json(sys.stdin.read())).model_dump_json())
