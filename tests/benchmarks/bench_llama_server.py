"""`deepseek-r1 serve` beside llama.cpp's own server: tokens a second of all users together.

    python tests/benchmarks/bench_llama_server.py LLAMA_SERVER [MODEL] [--users 1,2,4,8]
        [--blocks 3] [--requests 8] [--tokens 64] [--prompt-tokens 64] [--same-waiting] [--json]

LLAMA_SERVER is the program, built from the folder of llama-cpp-python's source, as its libraries
were:

    cmake -S vendor/llama.cpp -B /tmp/llserver -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF \\
        -DLLAMA_BUILD_UI=OFF && cmake --build /tmp/llserver --target llama-server

Both have the model in memory all the time, a thread for each core, eight places, one KV cache for
all of them, and the niceness of our engine. The load is that of `deepseek-r1 bench serve`. For each
number of users the blocks are theirs, ours, ours, theirs, or begin with ours: about --requests
prompts that neither server has cached, the same samplers, and answers that do not end early. The
ratio is ours / theirs.

Beside other programs the servers cannot be compared as they are: between operations the threads of
llama.cpp's server spin for milliseconds where ours sleep (`engine/llama/binding/openmp.py`).
Spinning keeps the other programs off the cores, or waits in vain for a thread that they displaced.
With --same-waiting the threads of both sleep.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.runner import Report, argument_parser, in_turns, middle, numbers, ratio
from deepseek_r1.engine.llama.binding.library import wait_policy
from deepseek_r1.hardware import cpu
from deepseek_r1.lab.serve_load import ServerLoad
from support.servers import foreign_server, free_port, post, started

PLACES, CONTEXT = "8", 4096
THREADS = str(cpu().usable_cores)  # a count that is given does not follow other programs' load
NICENESS = "5"  # of our engine's process
SAMPLERS = {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05, "repeat_penalty": 1.0}
ENDS = ("<|im_end|>", "<|endoftext|>", "<｜end▁of▁sentence｜>")  # of an answer
OURS = ("--parallel", PLACES, "--threads", THREADS, "--threads-prefill", THREADS)


def theirs(program: Path, model: Path, port: int) -> list[str]:
    """Return the command of llama.cpp's server.

    Without `--cache-ram 0` it also copies the KV cache of prompts to memory and back.
    """
    command = ["nice", "-n", NICENESS, str(program), "--model", str(model), "--kv-unified"]
    command += ["--parallel", PLACES, "--ctx-size", str(CONTEXT), "--cache-ram", "0"]
    return [*command, "--threads", THREADS, "--threads-batch", THREADS, "--port", str(port)]


def no_end(address: str) -> dict[str, float]:
    """Return a logit bias against the tokens that end an answer, from our server's tokenizer."""
    bias = {}
    for text in ENDS:
        body = {"prompt": text, "add_special_tokens": False, "parse_special": True}
        tokens = post(f"{address}/tokenize", json=body).raise_for_status().json()["tokens"]
        bias |= {str(tokens[0]): -100.0} if len(tokens) == 1 else {}
    return bias


def measure(
    report: Report, loads: dict[str, ServerLoad], users: int, options: argparse.Namespace
) -> None:
    """Measure all blocks with one number of users."""
    errors = dict.fromkeys(loads, 0)

    def rate(arm: str, _block: int) -> float:
        figures = loads[arm].run(users, max(1, options.requests // users)).report()
        errors[arm] += int(figures["errors"])
        return float(figures["tokens_s"])

    rates = in_turns(list(loads), options.blocks, rate, warm_up=0)
    found = ratio(rates["ours"], rates["theirs"])
    medians = {arm: middle(blocks) for arm, blocks in rates.items()}
    texts = "; ".join(f"{arm} {value:.1f} tok/s" for arm, value in medians.items())
    failed = [f"; {arm} failed {count} times" for arm, count in errors.items() if count]
    report.row(
        f"{users} users; {texts}; ratio {found}{''.join(failed)}",
        users=users, **medians, **found._asdict(), errors=errors, runs=rates,
    )  # fmt: skip


def main() -> None:
    """Run the command line."""
    parser = argument_parser(__doc__, program="llama_server")
    parser.add_argument("--users", type=numbers, default=[1, 2, 4, 8])
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--requests", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--prompt-tokens", type=int, default=64)
    parser.add_argument("--same-waiting", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the servers are ended too
    model, port = options.model, free_port()
    waiting = wait_policy({}) if options.same_waiting else {}
    address = f"http://127.0.0.1:{port}"
    with (
        started(model, *OURS, context_length=CONTEXT) as our_server,
        foreign_server(theirs(options.llama_server, model, port), f"{address}/health", waiting),
    ):
        fields = SAMPLERS | {"logit_bias": no_end(our_server.address)}
        loads = {
            arm: ServerLoad(each, "", options.tokens, options.prompt_tokens, fields)
            for arm, each in (("theirs", address), ("ours", our_server.address))
        }
        for load in loads.values():
            load.run(2, 1)  # warm
        report = Report(options, arms=", ".join(loads), blocks=options.blocks)
        for users in options.users:
            measure(report, loads, users, options)
    report.end()


if __name__ == "__main__":
    main()
