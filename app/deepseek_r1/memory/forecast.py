"""Estimates how a model runs on this computer, before it is loaded: its memory, and how fast.

Reading takes time, and hides most of the computing of a streamed model. Threads prefetch while
others compute, but both use the same cores and the same memory: a drive that fills memory at 3
GiB/s is slower while weights are multiplied. So a token takes as long as the drive needs for its
weights, plus a share of the time that computing it from memory alone would take.
`docs/performance.md` has its error.
"""

import platform
import sys
from collections import Counter
from dataclasses import dataclass, replace
from enum import StrEnum
from math import ceil
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from deepseek_r1.core import VERSION
from deepseek_r1.core.events import Bill, BillItem
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.measured_file import Measurements
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.formats.header import once_per_header
from deepseek_r1.hardware import cpu
from deepseek_r1.hardware.read_speed import read_speed_mib_s
from deepseek_r1.memory.advice import Advice, advise, speed_text
from deepseek_r1.memory.cost_model import token_weights_bytes
from deepseek_r1.memory.load_plan import (
    EXPECTED_DRAFT_TOKENS,
    EXPECTED_TOKENS_PER_PASS,
    Read,
    with_other_models,
)
from deepseek_r1.memory.plan import (
    AUTOMATIC_SHARE,
    AUTOMATIC_SPARE,
    ENGINE_RUNTIME_MIB,
    ProcessOverhead,
    plan,
    require_context,
    with_context,
)
from deepseek_r1.weights.residency import expert_layers, slice_read_bytes

# Measured on two cores of an EPYC, R1-Distill-Qwen-1.5B's true shape in Q4_K_M, all in memory: 23
# to 30 tokens a second at 56 to 69 GB/s of memory, that is 12 GB/s of weights for each core.
CORE_MIB_S = 12_000.0
# Bytes that a core multiplies beside those in Q4_K, by llama.cpp's kernels for one row, measured
# there for AVX2 and for AVX-512 (bench/bench_types.py); 1 for other types.
_OF_Q4_K = {
    "Q2_K": 0.66, "Q3_K": 0.63, "Q5_K": 0.9, "Q6_K": 1.4, "Q8_0": 1.45,
    "IQ2": 0.22, "IQ3": 0.23, "IQ4": 0.67,
}  # fmt: skip
# Measured: the time that tokens took beyond streamed bytes over the drive's speed, as a share of
# computing them by the line above. The median of sixteen runs, eight budgets of two models: 0.2 to
# 1.1 for the 1.5B, 0.5 to 1.8 for a 0.5B.
UNHIDDEN_SHARE = 0.5
# Where the plan's constant was measured and the bill of a model is the same in every process.
constant_applies: bool = sys.platform == "linux"
_MIB = 1 << 20
BUDGET_STEP_MIB = 64
LEFT_FREE_MIB = 1024  # for other programs, when a larger budget is offered
FREE_SHARE = 0.5  # of the free memory, for a context longer than the least
LONG_CONTEXT = 16_384  # tokens, that a larger budget is offered for
# The memory that the window may grow to. A model that fits only beside a fresh window would be
# refused after its download.
WINDOW_MAX_MIB = 200.0
TOKEN_S = 0.01  # of each token, whatever the model's size: what the smallest models wait for
_OF_MEMORY_SPEED = 0.8  # what a model reaches of the speed of plain sequential reads


class EngineMemory(BaseModel):
    """The memory of the engine's process and its renderer on this machine, without a model."""

    model_config = ConfigDict(frozen=True)

    runtime_mib: float = Field(gt=0, allow_inf_nan=False)


ENGINE_MEMORY = Measurements("engine_memory", EngineMemory)


def planned_share(window_mib: float = 0.0) -> ProcessOverhead:
    """Return the overhead for a bill that is made without the engine, or before its first model.

    On Linux the engine's part is the plan's constant. Elsewhere it is what the last load measured,
    and the constant before the first load.
    """
    measured = None
    if not constant_applies:
        measured = ENGINE_MEMORY.get(measured_key())
    runtime_mib = ENGINE_RUNTIME_MIB if measured is None else measured.runtime_mib
    return ProcessOverhead(max(runtime_mib, ENGINE_RUNTIME_MIB), window_mib)


def measured_key() -> str:
    """Return what the memory of the libraries depends on: system, Python, application."""
    return f"{platform.platform()} | {platform.python_version()} | {VERSION}"


@dataclass(frozen=True, slots=True)
class Estimate:
    """The bill, and the nearest settings that fit; their text is empty when the bill fits."""

    bill: Bill
    advice: Advice

    @property
    def fits_with(self) -> LoadSettings | None:
        """The nearest settings that fit; None where the bill fits already."""
        return self.advice.settings if self.advice.text else None


def estimate(
    header: ModelHeader,
    settings: LoadSettings,
    overhead: ProcessOverhead,
    *,
    measure_disk: bool = True,
) -> Estimate:
    """Plan and advise. The disk is measured, once, only where a model would be streamed."""
    bill = plan(header, settings, overhead).bill
    advice = Advice(settings, "", bill) if bill.fits else advise(header, settings, overhead)
    streams = bill.streams or (advice.text != "" and advice.settings.swap_enabled)
    if not streams or not measure_disk:
        return Estimate(bill, advice)
    disk_mib_s = read_speed_mib_s(header.path, slice_read_bytes(expert_layers(header)))
    threads = settings.threads or cpu().threads
    compute_s = unhidden_compute_s(header, threads)
    bill = _with_speed(bill, disk_mib_s, compute_s)
    if overhead.draft_mib and bill.streams and disk_mib_s:
        plain = plan(header, settings, replace(overhead, draft_mib=0.0)).bill
        bill = bill.model_copy(
            update={
                "tokens_per_pass": EXPECTED_TOKENS_PER_PASS,
                "drafted_tok_s": drafted_tok_s(bill, overhead.draft_mib, threads),
                "undrafted_tok_s": undrafted_tok_s(_with_speed(plain, disk_mib_s, compute_s)),
            }
        )
    return Estimate(bill, advice_with_speed(advice, disk_mib_s, compute_s))


def model_bill(
    read: Read, path: Path, settings: LoadSettings, window_mib: float, *, measure_disk: bool = True
) -> Estimate:
    """The bill of a file that is not loaded, and the nearest settings that fit.

    `read` reads headers, `window_mib` is the caller's own memory. Raises ModelRefused.
    """
    header = read(path)
    share = with_other_models(planned_share(window_mib), settings, header, read)
    require_context(header, with_context(header, settings, share))
    return estimate(header, settings, share, measure_disk=measure_disk)


def advice_with_speed(advice: Advice, disk_mib_s: float, compute_s: float) -> Advice:
    """The advice with the speed that its settings give, where they stream."""
    if not advice.text or advice.bill is None:
        return advice
    speed = speed_text(_with_speed(advice.bill, disk_mib_s, compute_s))
    return replace(advice, text=f"{advice.text} {speed}".rstrip())


def _with_speed(bill: Bill, disk_mib_s: float, compute_s: float) -> Bill:
    return bill.model_copy(update={"disk_mib_s": disk_mib_s, "compute_s": compute_s})


@once_per_header
def core_mib_s(header: ModelHeader) -> float:
    """Return the weights that a core multiplies in a second, by the types of the model's."""
    by_type: Counter[str] = Counter()
    for each in header.tensors:
        by_type[each.type_name] += each.nbytes
    taken = sum(nbytes / _of_q4_k(name) for name, nbytes in by_type.items())
    return CORE_MIB_S * by_type.total() / taken if taken else CORE_MIB_S


def _of_q4_k(name: str) -> float:
    """A file that is not there yet has its precision in place of its weights' types."""
    found = name.removeprefix("UD-")
    return next((of for kind, of in _OF_Q4_K.items() if found.startswith(kind)), 1.0)


def unhidden_compute_s(header: ModelHeader, threads: int) -> float:
    """Seconds per token that `threads` cores compute and that reading its weights does not hide."""
    return UNHIDDEN_SHARE * token_weights_bytes(header) / _MIB / (threads * core_mib_s(header))


def undrafted_tok_s(bill: Bill) -> float:
    """The expected tokens per second without a draft model, by a bill that has none.

    Where nothing is read in a short conversation, computing is all that a token takes.
    """
    return bill.disk_tok_s or UNHIDDEN_SHARE / bill.compute_s


def drafted_tok_s(bill: Bill, draft_mib: float, threads: int) -> float:
    """The expected tokens per second of a streamed model with a draft model.

    A pass computes the drafted tokens too, which reading hides as far as it takes longer; drafting
    them takes as long as reading the draft model from memory, once for each.
    """
    read_s = bill.short_streamed_mib / bill.disk_mib_s
    rows_s = (1 + EXPECTED_DRAFT_TOKENS) * bill.compute_s / UNHIDDEN_SHARE
    draft_s = EXPECTED_DRAFT_TOKENS * draft_mib / (threads * CORE_MIB_S)
    return EXPECTED_TOKENS_PER_PASS / (max(read_s + bill.compute_s, rows_s) + draft_s)


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
    the cores' arithmetic is the bound.
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
