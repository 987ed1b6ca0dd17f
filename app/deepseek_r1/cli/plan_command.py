"""The command `deepseek-r1 plan`: the memory bill of a model, without loading it."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from deepseek_r1.cli import console
from deepseek_r1.cli import options as o
from deepseek_r1.cli.command import command
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.events import Bill, BillItem
from deepseek_r1.core.i18n import join_sentences, tr
from deepseek_r1.core.settings import CacheStrategy, LoadSettings
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.memory.advice import ITEM_NAMES, experts_text, speed_text
from deepseek_r1.memory.forecast import model_bill


@command("plan", tr("Show what a model would cost in memory. Nothing is loaded."))
@o.model_argument
@o.model_option
@o.load_options
@o.json_option
def plan(*, file: Path | None, model: Path | None, load: LoadSettings, as_json: bool) -> None:
    if file and model:
        raise WrongUsage(detail=tr("The model is given twice: {a} and {b}.", a=file, b=model))
    path = o.chosen_model(file or model)
    estimated = model_bill(read_header, path, load, o.COMMAND_LINE_MIB)
    if as_json:
        console.result_json(plan_report(estimated.bill, estimated.advice.text))
    else:
        _show(estimated.bill, estimated.advice.text, load.cache_strategy)


def plan_report(bill: Bill, advice: str) -> dict[str, Any]:
    """Returns the JSON contract of `plan`. A model that streams has more keys."""
    streamed: dict[str, Any] = {
        "streamed_mb": round(bill.streamed_mib, 2),
        "short_streamed_mb": round(bill.short_streamed_mib, 2),
        "disk_mb_s": round(bill.disk_mib_s, 1),
        "disk_tok_s": round(bill.disk_tok_s, 3),
    }
    if bill.mib_of(BillItem.EXPERTS):
        streamed["experts_kept"] = bill.experts_kept.value
    return {
        "fits": bill.fits,
        "streams": bill.streams,
        "lines": [{"name": line.name, "mb": round(line.planned_mib, 2)} for line in bill.lines],
        "total_mb": round(bill.total_mib, 2),
        "budget_mb": bill.budget_mib,
        "advice": advice,
        **(streamed if bill.streams else {}),
    }


def _show(bill: Bill, advice: str, wanted: CacheStrategy) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    for line in bill.lines:
        name = tr("This program") if line.name is BillItem.WINDOW else tr(ITEM_NAMES[line.name])
        table.add_row(name, f"{line.planned_mib:,.0f} MiB")
    table.add_row(tr("Total"), f"{bill.total_mib:,.0f} MiB", style="bold")
    table.add_row(tr("Memory budget"), f"{bill.budget_mib:,.0f} MiB")
    Console(highlight=False).print(table)
    console.result(_verdict(bill, advice, wanted))


def _verdict(bill: Bill, advice: str, wanted: CacheStrategy) -> str:
    if not bill.fits:
        return join_sentences((tr("It does not fit."), advice))
    if not bill.streams:
        return tr("It fits.")
    runs = tr(
        "It runs from the disk: {few:,.0f} MiB are read for every token, in a long conversation "
        "{most:,.0f}.",
        few=bill.short_streamed_mib,
        most=bill.streamed_mib,
    )
    return join_sentences((runs, speed_text(bill), experts_text(bill, wanted)))
