"""Estimates how a model runs on this computer: in memory or from the disk, and how fast."""

from dataclasses import dataclass, replace
from enum import StrEnum
from math import ceil

from pydantic import BaseModel, ConfigDict, Field

from deepseek_r1.core.events import Bill, BillItem
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.memory.advice import advise
from deepseek_r1.memory.cost_model import token_weights_bytes
from deepseek_r1.memory.estimate import (
    core_mib_s,
    drafted_tok_s,
    planned_share,
    unhidden_compute_s,
)
from deepseek_r1.memory.plan import AUTOMATIC_SHARE, AUTOMATIC_SPARE, ProcessOverhead, plan

BUDGET_STEP_MIB = 64
LEFT_FREE_MIB = 1024  # for other programs, when a larger budget is offered
FREE_SHARE = 0.5  # of the free memory, for a context longer than the least
LONG_CONTEXT = 16_384  # tokens, that a larger budget is offered for
# The memory that the window may grow to. A model that fits only beside a fresh window would be
# refused after its download.
WINDOW_MAX_MIB = 200.0
TOKEN_S = 0.01  # of each token, whatever the model's size: what the smallest models wait for
_OF_MEMORY_SPEED = 0.8  # what a model reaches of the speed of plain sequential reads
_MIB = 1 << 20


class Fit(StrEnum):
    """Whether a model fits the memory budget, and in which way."""

    IN_MEMORY = "in_memory"
    FROM_DISK = "from_disk"
    TOO_LARGE = "too_large"


class MachineSpeed(BaseModel):
    """Measured speeds in MiB a second; 0 where unknown. `threads` is the number that computes."""

    model_config = ConfigDict(frozen=True)

    memory_mib_s: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    disk_mib_s: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Forecast:
    """The answer for one file; speeds are 0 where unknown."""

    fit: Fit
    bill: Bill  # of `settings`
    settings: LoadSettings  # the nearest that fit
    tok_s: float = 0.0
    raised: LoadSettings | None = None  # a budget for the whole model, where so much is free
    raised_tok_s: float = 0.0
    measured: bool = False  # `tok_s` is of an answer that this file wrote here, no estimate
    drafted_tok_s: float = 0.0  # with the draft model, where one helps while the model streams


def estimate_fit(
    header: ModelHeader,
    settings: LoadSettings,
    speed: MachineSpeed,
    available_mib: float,
    overhead: ProcessOverhead | None = None,
    *,
    draft_mib: float = 0.0,
) -> Forecast:
    """Estimate for a file's header; plain arithmetic, some milliseconds.

    `draft_mib` is the memory of the draft model of its family.
    """
    in_memory_tok_s = expected_tok_s(header, speed)
    overhead = overhead or planned_share(WINDOW_MAX_MIB)
    bill = plan(header, settings, overhead).bill
    if bill.fits and not bill.streams:
        return Forecast(Fit.IN_MEMORY, bill, settings, in_memory_tok_s)
    resident = settings.model_copy(update={"swap_enabled": False})
    whole = plan(header, resident, overhead).bill
    raised = larger_budget(settings, whole, available_mib)
    raised_tok_s = in_memory_tok_s if raised is not None else 0.0
    streaming = settings.model_copy(update={"swap_enabled": True})
    nearest = advise(header, streaming, overhead)
    if nearest.bill is None:
        least = plan(header, streaming, overhead).bill
        return Forecast(Fit.TOO_LARGE, least, nearest.settings, 0.0, raised, raised_tok_s)
    compute_s = unhidden_compute_s(header, speed.threads)
    speeds = {"disk_mib_s": speed.disk_mib_s, "compute_s": compute_s}
    measured = nearest.bill.model_copy(update=speeds)
    tok_s, drafted = measured.disk_tok_s, 0.0
    if in_memory_tok_s:  # two short measurements: reading from the disk is never the faster way
        reads = nearest.bill.short_streamed_mib > 0  # else only a long conversation does
        tok_s = min(tok_s, in_memory_tok_s) if reads else in_memory_tok_s
    if tok_s and draft_mib and speed.disk_mib_s:
        share = replace(overhead, draft_mib=draft_mib)
        bill = plan(header, nearest.settings, share).bill.model_copy(update=speeds)
        if bill.fits:
            drafted = drafted_tok_s(bill, draft_mib, speed.threads)
    return Forecast(
        Fit.FROM_DISK,
        measured,
        nearest.settings,
        tok_s,
        raised,
        raised_tok_s,
        drafted_tok_s=drafted if drafted > tok_s else 0.0,
    )


def expected_tok_s(header: ModelHeader, speed: MachineSpeed) -> float:
    """Tokens a second of a model that is in memory as a whole; 0 for an unknown memory speed.

    Decoding a token reads all weights except the embedding table once. Either memory bandwidth or
    the cores' arithmetic is the bound (`memory.estimate`).
    """
    read_mib = token_weights_bytes(header) / _MIB
    if not read_mib:
        return 0.0
    weights_mib_s = min(speed.memory_mib_s * _OF_MEMORY_SPEED, speed.threads * core_mib_s(header))
    return 1 / (TOKEN_S + read_mib / weights_mib_s) if weights_mib_s else 0.0


def larger_budget(settings: LoadSettings, bill: Bill, available_mib: float) -> LoadSettings | None:
    """The settings with a budget that holds all of `bill`, where so much memory is free.

    A model in memory is several times faster than one that runs from the disk. An automatic context
    is given more than it has in `bill` as long as half of the free memory stays free.
    """
    budget = ceil(bill.total_mib / BUDGET_STEP_MIB) * BUDGET_STEP_MIB
    if bill.streams or budget <= settings.memory_budget or budget + LEFT_FREE_MIB > available_mib:
        return None
    if not settings.context_length and bill.context_length:
        most = available_mib * FREE_SHARE // BUDGET_STEP_MIB * BUDGET_STEP_MIB
        budget = max(budget, min(_budget_of_long_context(bill), int(most)))
    return settings.model_copy(update={"memory_budget": budget})


def _budget_of_long_context(bill: Bill) -> int:
    """The budget in MiB at which an automatic context has `LONG_CONTEXT` tokens."""
    context_mib = bill.mib_of(BillItem.KV_CACHE)
    long_mib = context_mib / bill.context_length * LONG_CONTEXT
    whole_mib = (bill.total_mib + long_mib - context_mib) / (1 - AUTOMATIC_SPARE)
    budget_mib = max(whole_mib, long_mib / AUTOMATIC_SHARE)
    return ceil(budget_mib / BUDGET_STEP_MIB) * BUDGET_STEP_MIB


def fit_facts(forecast: Forecast) -> tuple[str, ...]:
    """The fit and, where it is known, the speed."""
    texts = {
        Fit.IN_MEMORY: tr("fits"),
        Fit.FROM_DISK: tr("from the disk"),
        Fit.TOO_LARGE: tr("too large for the budget"),
    }
    fit, rate = texts[forecast.fit], tr("{rate} tok/s", rate=format_rate(forecast.tok_s))
    if not forecast.tok_s:
        return (fit,)
    return fit, tr("{fit}, measured", fit=rate) if forecast.measured else rate


def format_fit(forecast: Forecast) -> str:
    """The fit and the speed in a few words."""
    return " · ".join(fit_facts(forecast))


def format_rate(tok_s: float) -> str:
    """Tokens a second as a number; slow ones with a decimal."""
    return f"{tok_s:.0f}" if tok_s >= 9.95 else f"{tok_s:.1f}"


def with_rate(text: str, tok_s: float) -> str:
    """The text with tokens a second, where they are known."""
    return tr("{fit} · {rate} tok/s", fit=text, rate=format_rate(tok_s)) if tok_s else text
