"""The command `deepseek-r1 bench`: measures how fast this computer runs a model."""

import platform
import sys
import time
from pathlib import Path
from typing import Any, TypeVar

import click

from deepseek_r1.cli import console
from deepseek_r1.cli import options as o
from deepseek_r1.cli.command import PATH, Group, option
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.i18n import tr, trn
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.hardware import cpu, machine_memory_mib
from deepseek_r1.lab.engine_run import RunRequest, RunTimes, in_both_orders, medians, run_in_process
from deepseek_r1.lab.serve_load import LOAD_SHARE, ServerLoad, machines_for

MOST_REQUESTS_S = 1000
_MOST_THREADS = int(LoadSettings.bounds("threads")[1])
NumberT = TypeVar("NumberT", int, float)


@click.group(cls=Group, help=tr("How fast this computer runs a model."))
def bench() -> None:
    """The group of the measuring commands."""


@bench.command(
    "engine",
    help=tr(
        "Measure reading and writing with the whole model in memory for several thread counts. "
        "On Linux only."
    ),
)
@o.model_argument
@option("--threads", tr("Thread counts to compare: 1,2,4."), default="")
@option(
    "--blocks",
    tr("The number of rounds; each runs all in both orders."),
    click.IntRange(min=1),
    default=2,
)
@option("--tokens", tr("Tokens to write."), click.IntRange(min=1), default=64)
@option("--prompt-tokens", tr("Tokens to read."), click.IntRange(min=32), default=256)
@o.json_option
def bench_engine(
    *, file: Path | None, threads: str, blocks: int, tokens: int, prompt_tokens: int, as_json: bool
) -> None:
    if sys.platform != "linux":
        raise WrongUsage(
            detail=tr("“bench engine” needs Linux's process counters; it runs on Linux only.")
        )
    path = o.chosen_model(file).resolve()
    read_header(path)  # a file that is refused is refused here, not by each run
    usual = ",".join(map(str, range(1, cpu().usable_cores + 1)))
    counts = _numbers("--threads", threads or usual, int, _MOST_THREADS)
    times: dict[int, list[RunTimes]] = {count: [] for count in counts}
    failures: dict[int, list[str]] = {count: [] for count in counts}
    for count in in_both_orders(counts, blocks):
        request = RunRequest(
            model=path, threads=count, tokens=tokens, prompt_tokens=prompt_tokens,
            started_at=time.monotonic(),
        )  # fmt: skip
        run, failure = run_in_process(request)
        if run is None:
            failures[count].append(failure)
        else:
            times[count].append(run)
        console.status(f"{count}: {failure if run is None else f'{run.tok_s:.2f} tok/s'}")
    console.status("")
    kept = ("tok_s", "prefill_tok_s", "first_token_s", "cpu_s_token", "rss_peak_mib")
    rows: list[dict[str, Any]] = []
    for count, runs in times.items():
        middle = {key: medians(runs)[key] for key in kept}
        rows.append({"threads": count, **middle, "failures": failures[count]})
    if as_json:
        console.result_json({**machine(), "model": path.name, "rows": rows})
    else:
        _show_engine_rows(path.name, rows)
    if any(failures.values()):
        raise SystemExit(1)


def _show_engine_rows(model: str, rows: list[dict[str, Any]]) -> None:
    console.result(f"{machine()['machine']}\n{model}")
    for row in rows:
        rates = f"{row['tok_s']:8.2f} tok/s {row['prefill_tok_s']:8.1f} tok/s"
        console.result(
            trn(
                "{n} thread: writing, reading {rates}",
                "{n} threads: writing, reading {rates}",
                row["threads"],
                rates=rates,
            )
        )
        for failure in row["failures"]:
            console.result(f"{row['threads']}: {failure}")


@bench.command(
    "serve", help=tr("Measure a running server, with users who ask again or at a rate of requests.")
)
@option("--url", tr("The server's address."), default="http://127.0.0.1:8080")
@option("--users", tr("Numbers of users to compare: 1,2,4,8."), default="1,2,4,8")
@option("--requests", tr("Requests of each user."), click.IntRange(min=1), default=4)
@option(
    "--rates",
    tr("Requests per second to compare, in place of users: 0.5,1,2 (an open loop)."),
    default="",
)
@option(
    "--seconds", tr("How long requests come at each rate."), click.FloatRange(min=1), default=60.0
)
@option("--tokens", tr("Tokens of an answer."), click.IntRange(min=1), default=64)
@option("--prompt-tokens", tr("Tokens to read."), click.IntRange(min=32), default=64)
@option(
    "--wanted-rate",
    tr("Also work out how many machines so many requests per second need."),
    click.FloatRange(min=0),
    default=0.0,
)
@option(
    "--machine-price",
    tr("The price of a machine like this for an hour."),
    click.FloatRange(min=0),
    default=0.0,
)
@option("--api-key-file", tr("A file with the servers' key."), PATH)
@o.json_option
def bench_serve(
    *,
    url: str,
    users: str,
    requests: int,
    rates: str,
    seconds: float,
    tokens: int,
    prompt_tokens: int,
    wanted_rate: float,
    machine_price: float,
    api_key_file: Path | None,
    as_json: bool,
) -> None:
    counts = _numbers("--users", users, int, _MOST_THREADS)
    wanted_rates = _numbers("--rates", rates, float, MOST_REQUESTS_S) if rates else []
    load = ServerLoad(url, o.api_key(api_key_file), tokens, prompt_tokens)
    load.run(1, 1)  # warm
    if wanted_rates:
        rows = [load.run_open(rate, seconds).report() for rate in wanted_rates]
    else:
        rows = [load.run(count, requests).report() for count in counts]
    load.close()
    best = max((row["requests_s"] for row in rows if not row["errors"]), default=0.0)
    machines = machines_for(wanted_rate, best) if wanted_rate and best else 0
    if as_json:
        report = {**machine(), "model": load.model, "rows": rows}
        console.result_json(report | ({"machines": machines} if machines else {}))
        return
    console.result(f"{machine()['machine']}\n{load.model}")
    _show_rows(rows)
    if machines:
        console.result(
            tr(
                "{rate:g} requests/s of {tokens} tokens: {n} machines like this, each loaded to "
                "{share:.0%} of its rate; {price:,.2f} for an hour",
                rate=wanted_rate,
                tokens=tokens,
                n=machines,
                share=LOAD_SHARE,
                price=machines * machine_price,
            )
        )


def _show_rows(rows: list[dict[str, float | int]]) -> None:
    for row in rows:
        loop = (
            tr("{rate:g} requests/s offered", rate=row["rate"])
            if "rate" in row
            else trn("{n} user", "{n} users", int(row["users"]))
        )
        console.result(
            tr(
                "{loop}: {requests_s} requests/s, {tokens_s} tok/s, first token "
                "{first_token_p50_s} s (p95 {first_token_p95_s}), {errors} errors, {cores} cores",
                loop=loop,
                **row,
            )
        )


def machine() -> dict[str, str]:
    """Returns this computer's processor, cores, memory and system for a report."""
    processor = cpu()
    return {
        "machine": f"{processor.name}, {processor.usable_cores} cores, "
        f"{machine_memory_mib():.0f} MiB, {platform.platform()}"
    }


def _numbers(option: str, text: str, kind: type[NumberT], most: float) -> list[NumberT]:
    """Returns the numbers in the `text` of an option. Raises WrongUsage."""
    try:
        numbers = [kind(each) for each in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(0 < each <= most for each in numbers):
        raise WrongUsage(
            detail=tr(
                "{option} takes numbers up to {n} with commas between.", option=option, n=most
            )
        )
    return numbers
