"""`deepseek-r1 serve` beside llama.cpp's own server: tokens a second of all users together.

    python tests/benchmarks/bench_llama_server.py LLAMA_SERVER [--model FILE] [--users 1,2,4,8]
        [--blocks 3] [--requests 8] [--tokens 64] [--prompt-tokens 64] [--same-waiting] [--json]

LLAMA_SERVER is the program, built from the folder of llama-cpp-python's source, as its libraries
were:

    cmake -S vendor/llama.cpp -B /tmp/llserver -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF \\
        -DLLAMA_BUILD_UI=OFF && cmake --build /tmp/llserver --target llama-server

Both have the model in memory all the time, a thread for each core, eight places, one KV cache for
all of them, and the niceness of our engine. The load is that of `deepseek-r1 bench serve`. For each
number of users, the blocks are theirs, ours, ours, theirs: about --requests prompts that neither
server has cached, the same samplers, and answers that do not end early. The ratio is ours / theirs.

Beside other programs the servers cannot be compared as they are: between operations the threads of
llama.cpp's server spin for milliseconds where ours sleep (`engine/llama/openmp.py`). Spinning keeps
the other programs off the cores, or waits in vain for a thread that they displaced. With
--same-waiting the threads of both sleep.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "app"))
from deepseek_r1.cli.bench_command import machine
from deepseek_r1.cli.serve_load import ServerLoad
from deepseek_r1.core.paths import starter_model
from deepseek_r1.engine.llama.openmp import wait_policy
from deepseek_r1.hardware import cpu

READY_S = 300.0
PLACES, CONTEXT = 8, 4096
THREADS = str(cpu().usable_cores)  # a count that is given does not follow other programs' load
NICENESS = "5"  # of our engine's process
SAMPLERS = {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05, "repeat_penalty": 1.0}
ENDS = ("<|im_end|>", "<|endoftext|>", "<｜end▁of▁sentence｜>")  # of an answer


def ours(model: Path) -> list[str]:
    """Return the command of our server, without the port."""
    command = [sys.executable, "-m", "deepseek_r1", "serve", "--model", str(model)]
    command += ["--parallel", str(PLACES), "--context-length", str(CONTEXT)]
    return [*command, "--threads", THREADS, "--threads-prefill", THREADS, "--port"]


def theirs(program: Path, model: Path) -> list[str]:
    """Return the command of llama.cpp's server, without the port.

    Without `--cache-ram 0` it also copies the KV cache of prompts to memory and back.
    """
    command = ["nice", "-n", NICENESS, str(program), "--model", str(model), "--kv-unified"]
    command += ["--parallel", str(PLACES), "--ctx-size", str(CONTEXT), "--cache-ram", "0"]
    return [*command, "--threads", THREADS, "--threads-batch", THREADS, "--port"]


@contextmanager
def server(
    command: list[str], port: int, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Yield the address of a server whose model is loaded; `environment` is added to ours."""
    if is_ready(f"http://127.0.0.1:{port}"):
        raise SystemExit(f"Port {port} is in use: --port takes another one.")
    process = subprocess.Popen(
        [*command, str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | dict(environment or {}),
    )
    address, until = f"http://127.0.0.1:{port}", time.monotonic() + READY_S
    try:
        while not is_ready(address):
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{' '.join(command)} did not become ready")
            time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait()


def is_ready(address: str) -> bool:
    """Return whether a server has loaded its model; llama.cpp's has only the path /health."""
    try:
        status = httpx2.get(f"{address}/health/ready").status_code
        return status == 200 or (
            status == 404 and httpx2.get(f"{address}/health").status_code == 200
        )
    except httpx2.TransportError:
        return False


def no_end(address: str) -> dict[str, float]:
    """Return a logit bias against the tokens that end an answer, from our server's tokenizer."""
    bias = {}
    for text in ENDS:
        body = {"prompt": text, "add_special_tokens": False, "parse_special": True}
        tokens = httpx2.post(f"{address}/tokenize", json=body).raise_for_status().json()["tokens"]
        bias |= {str(tokens[0]): -100.0} if len(tokens) == 1 else {}
    return bias


def measured(loads: dict[str, ServerLoad], users: int, options: argparse.Namespace) -> dict:
    """Measure all blocks with one number of users."""
    rates: dict[str, list[float]] = {name: [] for name in loads}
    each, ratios = max(1, options.requests // users), []
    errors = dict.fromkeys(loads, 0)
    for _ in range(options.blocks):
        block: dict[str, list[float]] = {name: [] for name in loads}
        for name in ("theirs", "ours", "ours", "theirs"):
            report = loads[name].run(users, each).report()
            block[name].append(float(report["tokens_s"]))
            errors[name] += int(report["errors"])
        ratios.append(statistics.mean(block["ours"]) / statistics.mean(block["theirs"]))
        for name, values in block.items():
            rates[name] += values
    return {"users": users, "errors": errors, **rates, "ratios": ratios}


def show(row: dict) -> None:
    """Print the medians, with the least and the greatest values."""
    parts = [f"{row['users']} users"]
    for name, digits in (("ours", 1), ("theirs", 1), ("ratios", 2)):
        values = row[name]
        middle, low, high = statistics.median(values), min(values), max(values)
        parts.append(f"{name} {middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})")
    failed = [f"{name} failed {count} times" for name, count in row["errors"].items() if count]
    print("; ".join(parts + failed), flush=True)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("llama_server", type=Path)
    parser.add_argument("--model", type=Path, default=None, help="default: the starter")
    parser.add_argument("--users", default="1,2,4,8")
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--requests", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--prompt-tokens", type=int, default=64)
    parser.add_argument("--same-waiting", action="store_true")
    parser.add_argument("--port", type=int, default=8190)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the servers are ended too
    model = options.model or starter_model()
    waiting = wait_policy({}) if options.same_waiting else {}
    with (
        server(ours(model), options.port) as our_address,
        server(theirs(options.llama_server, model), options.port + 1, waiting) as their_address,
    ):
        fields = SAMPLERS | {"logit_bias": no_end(our_address)}
        loads = {
            name: ServerLoad(address, "", options.tokens, options.prompt_tokens, fields)
            for name, address in (("ours", our_address), ("theirs", their_address))
        }
        for load in loads.values():
            load.run(2, 1)  # warm
        rows = []
        for users in (int(each) for each in options.users.split(",")):
            rows.append(measured(loads, users, options))
            if not options.json:
                show(rows[-1])
    if options.json:
        print(json.dumps({**machine(), "model": model.name, "rows": rows}))


if __name__ == "__main__":
    main()
