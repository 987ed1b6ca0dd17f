"""How should OpenMP's threads wait? Decoding speed for each way, with 0, 1 and 2 busy programs.

    python tests/host/measure_spin.py MODEL [--threads 2] [--tokens 40] [--ways bound "spin 1000"]

Every line is a process of its own that runs llama.cpp alone in a bare loop, in the environment
that the engine's process gets. Prints a table of tokens a second. Not a test: it wants a quiet
machine, and says how quiet it was. Where none is to be had, root on Linux gets clean numbers of
one way at a time:

    GOMP_SPINCOUNT=1000 chrt -f 1 python tests/host/measure_spin.py MODEL --arm
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "app"))

from deepseek_r1.host.environment import engine_environment

WAYS = {
    "as it comes": {},
    "passive": {"OMP_WAIT_POLICY": "passive"},
    "spin 100": {"GOMP_SPINCOUNT": "100"},
    "spin 1000": {"GOMP_SPINCOUNT": "1000"},
    "spin 3000": {"GOMP_SPINCOUNT": "3000"},
    "spin 10000": {"GOMP_SPINCOUNT": "10000"},
    "spin 100000": {"GOMP_SPINCOUNT": "100000"},
    "spin 1000, each thread bound to a core": {"GOMP_SPINCOUNT": "1000", "OMP_PROC_BIND": "true"},
}
BUSY = "while True: pass"
LIMIT_S = 3.0


def decode_rate(model_path: str, threads: int, tokens: int) -> float:
    """Tokens a second of llama.cpp alone; an arm that crawls is stopped after a few seconds."""
    from llama_cpp import llama_cpp as native  # noqa: PLC0415 - only in an arm

    native.llama_backend_init()
    model = native.llama_model_load_from_file(
        model_path.encode(), native.llama_model_default_params()
    )
    shape = native.llama_context_default_params()
    shape.n_ctx, shape.n_batch, shape.n_ubatch = 512, 64, 64
    shape.n_threads = shape.n_threads_batch = threads
    context = native.llama_init_from_model(model, shape)
    token = (native.llama_token * 1)()

    def step(value: int) -> None:
        token[0] = value
        native.llama_decode(context, native.llama_batch_get_one(token, 1))

    step(5)
    began, done = time.monotonic(), 0
    while done < tokens and time.monotonic() - began < LIMIT_S:
        step(10 + done)
        done += 1
    return done / (time.monotonic() - began)


def measured(arguments: argparse.Namespace, way: dict[str, str], busy: int) -> float:
    environment = {**engine_environment(), **way}
    if "GOMP_SPINCOUNT" not in way:
        environment.pop("GOMP_SPINCOUNT", None)
    others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(busy)]
    try:
        command = [sys.executable, __file__, arguments.model, "--arm"]
        command += ["--threads", str(arguments.threads), "--tokens", str(arguments.tokens)]
        done = subprocess.run(
            command, env=environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        return float(done.stdout)
    finally:
        for other in others:
            other.kill()
            other.wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=40)
    parser.add_argument("--ways", nargs="+", default=[""], help="parts of the ways' names")
    parser.add_argument("--arm", action="store_true")
    arguments = parser.parse_args()
    if arguments.arm:
        print(decode_rate(arguments.model, arguments.threads, arguments.tokens))
        return
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    print(f"tok/s with 0 / 1 / 2 busy programs; load of the machine before: {load}")
    for name, way in WAYS.items():
        if not any(part in name for part in arguments.ways):
            continue
        rates = [measured(arguments, way, busy) for busy in (0, 1, 2)]
        print(f"{name:12}", " / ".join(f"{rate:5.1f}" for rate in rates), flush=True)


if __name__ == "__main__":
    main()
