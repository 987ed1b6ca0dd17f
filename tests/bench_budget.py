"""How fast does a model larger than its memory decode? Arms in turn, under one real limit.

    sudo python tests/bench_budget.py MODEL --limit 800 [--blocks 2] [--tokens 16] [--json]

Each block runs ours, mmap with 1 and 2 threads, and the same backwards; the raw direct-read speed
of the drive is measured between arms. "mmap" is llama.cpp without repacking, at the machine's
read-ahead. "resident" has no limit and runs once a block. Every arm is a process of its own inside
a control group (page cache included), with the machine's caches dropped before it. The bound is
the raw speed beside an arm divided by the bytes that a token must read.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "app"))
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the host starts the engine

from deepseek_r1.hardware import cpu, machine_memory_mib
from deepseek_r1.hardware.disk import measure_mib_s

LIMIT_TOOL = ROOT.parent / "shared/tools/with_memory_limit.sh"
ARMS = ("ours", "mmap1", "mmap2")
MB, MIB = 1_000_000, 1 << 20
OUTSIDE_MIB = 24  # kernel memory and page tables that the group counts and no bill does
PROMPT = "Write on and on about a dragon."


def run_ours(model: Path, budget_mib: int, tokens: int) -> dict[str, float]:
    """Our engine in this process; `budget_mib` 0 is without a limit, all in memory."""
    from deepseek_r1 import CPUInference  # noqa: PLC0415 - only in its arm
    from deepseek_r1.core.events import GenerationFinished  # noqa: PLC0415 - only in its arm
    from deepseek_r1.core.settings import LoadSettings, SamplingSettings  # noqa: PLC0415 - only in its arm

    settings = LoadSettings(
        memory_budget=budget_mib or 65536,
        context_length=1024,
        micro_batch=64,
        swap_enabled=bool(budget_mib),
    )
    sampling = SamplingSettings(temperature=0.0, max_tokens=tokens)
    with CPUInference(model, settings=settings) as engine:
        *_, last = engine.stream(PROMPT, sampling=sampling)
    assert isinstance(last, GenerationFinished)
    stats, weights = last.stats, last.stats.weights
    return {
        "tok_s": stats.decode_tok_s,
        "load_s": stats.load_s,
        "token_mib": weights.streamed_mib if weights else 0.0,
        "io_wait_s": weights.io_wait_s if weights else 0.0,
    }


def run_mmap(model: Path, threads: int, tokens: int) -> dict[str, float]:
    """llama.cpp alone, the file mapped and not repacked."""
    import llama_cpp as api  # noqa: PLC0415 - only in its arm

    quiet = api.llama_log_callback(lambda *_: None)  # must outlive the calls below
    api.llama_log_set(quiet, None)
    params = api.llama_model_default_params()
    params.n_gpu_layers = 0
    params.load_mode = api.LLAMA_LOAD_MODE_MMAP
    params.use_extra_bufts = False
    began = time.perf_counter()
    native = api.llama_model_load_from_file(os.fsencode(model), params)
    shape = api.llama_context_default_params()
    shape.n_ctx, shape.n_batch, shape.n_ubatch, shape.n_outputs_max = 1024, 64, 64, 1
    shape.n_threads = shape.n_threads_batch = threads
    context = api.llama_init_from_model(native, shape)
    load_s = time.perf_counter() - began
    one = (api.llama_token * 1)(1)
    batch = api.llama_batch_get_one(one, 1)
    api.llama_decode(context, batch)  # the first pass over the weights is a prompt's
    began = time.perf_counter()
    for _ in range(tokens - 1):
        api.llama_decode(context, batch)
    rate = (tokens - 1) / (time.perf_counter() - began)
    return {"tok_s": rate, "load_s": load_s, "token_mib": 0.0, "io_wait_s": 0.0}


def run_arm(given: argparse.Namespace) -> dict[str, float]:
    """What `--arm` does in its own process."""
    if given.arm.startswith("mmap"):
        return run_mmap(given.model, int(given.arm[4:]), given.tokens)
    budget_mib = int(given.limit * MB / MIB) - OUTSIDE_MIB if given.arm == "ours" else 0
    return run_ours(given.model, budget_mib, given.tokens)


def measure_arm(given: argparse.Namespace, arm: str) -> dict[str, Any]:
    """One arm in a process of its own, with the raw speed of the drive measured just before."""
    raw = measure_mib_s(given.model)
    drop_caches()
    command = [sys.executable, __file__, str(given.model), "--arm", arm]
    command += ["--limit", str(given.limit), "--tokens", str(given.tokens)]
    if arm != "resident":
        command = [str(LIMIT_TOOL), str(given.limit), *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"arm": arm, "raw_mib_s": raw, "failed": done.returncode}
    peak = re.search(r"memory peak: (\d+) MB", done.stderr)
    run = json.loads(done.stdout.splitlines()[-1])
    return {"arm": arm, "raw_mib_s": raw, "peak_mb": int(peak[1]) if peak else 0, **run}


def drop_caches() -> None:
    """A warm page cache outside of the group would be memory for nothing."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3\n", encoding="ascii")


def read_ahead_kib(model: Path) -> int:
    """Of the drive the model is on; 0 where the system does not tell."""
    device = model.stat().st_dev
    place = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    for folder in (place / "queue", place / "../queue"):
        if (folder / "read_ahead_kb").exists():
            return int((folder / "read_ahead_kb").read_text(encoding="ascii"))
    return 0


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of each arm; the ratio is ours to the better mmap arm of the same block half."""
    result: dict[str, Any] = {}
    for arm in (*ARMS, "resident"):
        good = [run for run in runs if run["arm"] == arm and "failed" not in run]
        failed = sum(1 for run in runs if run["arm"] == arm and "failed" in run)
        row: dict[str, Any] = {"runs": len(good), "failed": failed}
        for key in ("tok_s", "load_s", "peak_mb", "token_mib", "raw_mib_s"):
            row[key] = statistics.median(run[key] for run in good) if good else 0.0
        shares = [r["tok_s"] * r["token_mib"] / r["raw_mib_s"] for r in good if r["token_mib"]]
        row["share_of_bound"] = statistics.median(shares) if shares else 0.0
        result[arm] = row
    best = max(result["mmap1"]["tok_s"], result["mmap2"]["tok_s"])
    result["ratio_to_mmap"] = result["ours"]["tok_s"] / best if best else 0.0
    return result


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("model", type=Path)
    arguments.add_argument("--limit", type=int, default=800, help="MB of 1e6 bytes")
    arguments.add_argument("--blocks", type=int, default=1)
    arguments.add_argument("--tokens", type=int, default=12)
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--arm", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.arm:
        print(json.dumps(run_arm(given)))
        return
    runs = []
    for _ in range(given.blocks):
        runs += [measure_arm(given, arm) for arm in (*ARMS, *reversed(ARMS), "resident")]
    processor = cpu()
    report = {
        "machine": f"{processor.name}, {processor.usable_cores} cores, "
        f"{machine_memory_mib():.0f} MiB, {platform.platform()}",
        "model": given.model.name,
        "limit_mb": given.limit,
        "read_ahead_kib": read_ahead_kib(given.model),
        "tokens": given.tokens,
        "runs": runs,
        **summary(runs),
    }
    if given.json:
        print(json.dumps(report))
        return
    print(f"{report['machine']}\n{given.model.name}, limit {given.limit} MB, read-ahead "
          f"{report['read_ahead_kib']} KiB")  # fmt: skip
    for arm in (*ARMS, "resident"):
        row = report[arm]
        print(
            f"{arm:9} {row['tok_s']:7.2f} tok/s   load {row['load_s']:5.1f} s   "
            f"peak {row['peak_mb']:5.0f} MB   {row['token_mib']:6.0f} MiB a token   "
            f"raw disk {row['raw_mib_s']:5.0f} MiB/s   of its bound {row['share_of_bound']:.2f}"
            + (f"   failed {row['failed']}" if row["failed"] else "")
        )
    print(f"ours / better mmap: {report['ratio_to_mmap']:.2f}")


if __name__ == "__main__":
    main()
