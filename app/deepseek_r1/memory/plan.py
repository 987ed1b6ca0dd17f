"""The memory bill of a model before it is loaded, and what to do when it is too high.

Pure arithmetic over the file's header and the settings: no native code, no measuring. MiB.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil

from deepseek_r1.core.errors import BudgetTooSmall, ContextTooLarge
from deepseek_r1.core.events import Bill, BillLine
from deepseek_r1.core.settings import KVType, LoadSettings
from deepseek_r1.core.words import N_, tr
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.hardware import packs_weights
from deepseek_r1.memory import costs, legacy_costs
from deepseek_r1.weights.residency import Residency, ResidencyTooSmall, plan_residency

LINES = ("weights", "kv_cache", "compute", "output", "runtime", "window", "reserve")
STREAMED_LINES = ("pinned", "slots", *LINES[1:])
MIXTURE_LINES = ("pinned", "slots", "experts", *LINES[1:])
WEIGHT_LINES = ("weights", "pinned", "slots", "experts")  # of any bill
DRAFT_TOKENS = 6  # that a model from the disk computes along with the one that was chosen
WRITTEN_ROWS = 1 + DRAFT_TOKENS  # of logits, of a pass of its answer
_SHORT_CELLS = 512  # of the context, that the beginning of a conversation takes
LEAST_CONTEXT = 512  # an answer needs room; advice does not go below
LEAST_BATCH = 64  # below it the batch saves almost nothing
# Measured: resident memory of the engine's process with its libraries loaded and no model
# (45 MiB), and what the first answer pages in of them (2 MiB). A constant, so that every bill of
# a model and its settings is the same, wherever it is made.
ENGINE_RUNTIME_MIB = 47.0
_RESERVE_MIB = 3.0  # stacks of the threads, the allocator's slack, the graph's own nodes
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class ProcessShare:
    """What the processes cost without a model, in MiB.

    `runtime_mib` is the engine's interpreter and libraries, `window_mib` the caller's process:
    the window, the command line, or nothing where the caller is the engine. `packs`: this
    processor has weights that are in memory whole in a larger layout.
    """

    runtime_mib: float = ENGINE_RUNTIME_MIB
    window_mib: float = 0.0
    packs: bool = field(default_factory=packs_weights)


@dataclass(frozen=True, slots=True)
class Advice:
    """The nearest thing that fits: settings to take, and a sentence that says so.

    `text` is empty when the settings fit as they are.
    """

    settings: LoadSettings
    text: str


def plan(header: ModelHeader, settings: LoadSettings, share: ProcessShare) -> Bill:
    """What a model with these settings costs, line by line, in the order of `LINES`.

    The vocabulary's tables are part of "runtime". A model that does not fit and may use the disk
    has the lines of `STREAMED_LINES`, or of `MIXTURE_LINES` where it has experts.
    """
    parts = {"weights": _weights_mib(header, share), **_rest(header, settings, share)}
    lines = tuple(BillLine(name=name, planned_mib=parts[name]) for name in LINES)
    bill = Bill(lines=lines, budget_mib=settings.memory_budget)
    if bill.fits or not settings.swap_enabled or header.legacy:
        return bill
    return plan_streamed(header, settings, share)


def plan_streamed(header: ModelHeader, settings: LoadSettings, share: ProcessShare) -> Bill:
    """The bill of a model that runs from the disk, also where it would fit into memory.

    Weights get what the other lines leave of the budget, and their least where that is too little.
    """
    rest = _rest(header, settings, share, rows=WRITTEN_ROWS)
    weights_mib = settings.memory_budget - sum(rest.values())
    residency = _residency(header, settings, weights_mib)
    short_mib = weights_mib + _lent_mib(header, settings, WRITTEN_ROWS)
    parts = {
        "pinned": residency.pinned_mib,
        "slots": residency.slots_mib,
        "experts": residency.experts_mib,
        **rest,
    }
    names = MIXTURE_LINES if residency.experts_bytes else STREAMED_LINES
    return Bill(
        lines=tuple(BillLine(name=name, planned_mib=parts[name]) for name in names),
        budget_mib=settings.memory_budget,
        streamed_mib=residency.streamed_mib,
        short_streamed_mib=_residency(header, settings, short_mib).streamed_mib,
    )


def _lent_mib(header: ModelHeader, settings: LoadSettings, rows: int) -> float:
    """Of context and computing, what weights have while a conversation is short."""
    length = min(settings.context_length, _SHORT_CELLS)
    short = settings.model_copy(update={"context_length": length})
    cells = costs.kv_cache_bytes(header, settings) - costs.kv_cache_bytes(header, short)
    batch = costs.compute_bytes(header, settings, rows)
    return (cells + batch - costs.writing_bytes(header, settings, rows)) / _MIB


def _weights_mib(header: ModelHeader, share: ProcessShare) -> float:
    """All weights, in memory."""
    if header.legacy:
        return legacy_costs.weights_mib(header)
    return costs.weights_bytes(header, packed=share.packs) / _MIB


def _rest(
    header: ModelHeader, settings: LoadSettings, share: ProcessShare, rows: int = 1
) -> dict[str, float]:
    """All lines but the weights; `rows` of logits at once."""
    if header.legacy:
        parts = legacy_costs.rest_mib(header, settings)
        parts["runtime"] += share.runtime_mib
        return parts | {"window": share.window_mib, "reserve": _RESERVE_MIB}
    return {
        "kv_cache": costs.kv_cache_bytes(header, settings) / _MIB,
        "compute": costs.compute_bytes(header, settings, rows) / _MIB,
        "output": costs.output_bytes(header, rows) / _MIB,
        "runtime": share.runtime_mib + costs.vocabulary_bytes(header) / _MIB,
        "window": share.window_mib,
        "reserve": _RESERVE_MIB + costs.staging_bytes(header) / _MIB,
    }


def _residency(header: ModelHeader, settings: LoadSettings, weights_mib: float) -> Residency:
    """Where the weights are if they may take `weights_mib`, or else the least they can take."""
    chunk_bytes = costs.chunk_bytes(settings)
    try:
        return plan_residency(header, weights_mib, chunk_bytes=chunk_bytes)
    except ResidencyTooSmall as error:
        least_mib = ceil(error.needed_mib * _MIB) / _MIB  # a whole byte, never one too few
        return plan_residency(header, least_mib, chunk_bytes=chunk_bytes)


def advise(
    header: ModelHeader,
    settings: LoadSettings,
    share: ProcessShare,
    *,
    disk_mib_s: float = 0.0,
    compute_s: float = 0.0,
) -> Advice:
    """The least painful change that makes the model fit.

    In this order: a smaller batch, the context in q8_0, a smaller context, the context in q4_0;
    then the same with swap to disk; else a larger budget. `disk_mib_s` is the measured speed of
    the file's drive, 0 where unknown: with it the text says how fast the model would be, if the
    bill's `compute_s` is this.
    """
    if plan(header, settings, share).fits:
        return Advice(settings, "")
    swapping = settings.model_copy(update={"swap_enabled": True})
    ways = [settings] if settings.swap_enabled or header.legacy else [settings, swapping]
    for way in ways:
        for candidate in _concessions(header, way, share):
            bill = plan(header, candidate, share)
            if bill.fits:
                text = _change_text(settings, candidate)
                pace = {"disk_mib_s": disk_mib_s, "compute_s": compute_s}
                speed = speed_text(bill.model_copy(update=pace))
                return Advice(candidate, f"{text} {speed}".rstrip())
    needed = ceil(plan(header, ways[-1], share).total_mib)
    raised = ways[-1].model_copy(update={"memory_budget": needed})
    turned_on = raised.swap_enabled and not settings.swap_enabled
    return Advice(raised, tr(_BUDGET_AND_SWAP if turned_on else _BUDGET, needed=needed))


def speed_text(bill: Bill) -> str:
    """How fast a model runs from its drive; empty where nothing is known or read."""
    if not bill.disk_tok_s:
        return ""
    return tr(
        "Roughly {rate} tokens a second, by a short test of this disk.",
        rate=f"{bill.disk_tok_s:.1f}",
    )


def require_fit(header: ModelHeader, settings: LoadSettings, share: ProcessShare) -> Bill:
    """The bill of a model that may be loaded.

    Raises ContextTooLarge beyond what the model was trained for, BudgetTooSmall with the advice.
    """
    require_context(header, settings)
    bill = plan(header, settings, share)
    refuse_misfit(bill, header, settings, share)
    return bill


def refuse_misfit(
    bill: Bill, header: ModelHeader, settings: LoadSettings, share: ProcessShare
) -> None:
    """Raises BudgetTooSmall with the advice for a bill over its budget."""
    if bill.fits:
        return
    mib = {line.name: line.planned_mib for line in bill.lines}
    needed = ceil(bill.total_mib)
    weights = round(sum(mib.get(name, 0.0) for name in WEIGHT_LINES))
    context = round(mib["kv_cache"])
    raise BudgetTooSmall(
        needed_mib=needed,
        budget_mib=settings.memory_budget,
        weights_mib=weights,
        kv_mib=context,
        rest_mib=needed - weights - context,
        advice=advise(header, settings, share).text,
    )


def require_context(header: ModelHeader, settings: LoadSettings) -> None:
    """Raises ContextTooLarge for more context than the model was trained for."""
    if 0 < header.context_trained < settings.context_length:
        raise ContextTooLarge(asked=settings.context_length, trained=header.context_trained)


def _concessions(
    header: ModelHeader, settings: LoadSettings, share: ProcessShare
) -> Iterator[LoadSettings]:
    """Settings that need less memory, the least painful first. Not all of them fit."""

    def batches(kept: LoadSettings) -> Iterator[LoadSettings]:
        batch = kept.micro_batch
        while batch >= LEAST_BATCH:
            yield kept.model_copy(update={"micro_batch": batch})
            batch //= 2

    yield from batches(settings)
    smallest = settings
    for kv_type in (KVType.Q8_0, KVType.Q4_0):
        if _width(kv_type) < _width(settings.kv_type):
            narrower = settings.model_copy(update={"kv_type": kv_type})
            yield from batches(narrower)
            smallest = narrower
        *_, smallest = batches(smallest) if smallest.micro_batch >= LEAST_BATCH else [smallest]
        shorter = _largest_context(header, smallest, share)
        if shorter is not None:
            yield shorter


def _width(kv_type: KVType) -> int:
    return list(reversed(KVType)).index(kv_type)


def _largest_context(
    header: ModelHeader, settings: LoadSettings, share: ProcessShare
) -> LoadSettings | None:
    """The settings with the longest shorter context that fits, by bisection over whole steps."""

    def with_steps(steps: int) -> LoadSettings:
        return settings.model_copy(update={"context_length": steps * costs.CONTEXT_STEP})

    least = LEAST_CONTEXT // costs.CONTEXT_STEP
    most = (settings.context_length - 1) // costs.CONTEXT_STEP
    if most < least or not plan(header, with_steps(least), share).fits:
        return None
    while least < most:
        middle = (least + most + 1) // 2
        if plan(header, with_steps(middle), share).fits:
            least = middle
        else:
            most = middle - 1
    return with_steps(least)


_BUDGET = N_("It needs a budget of at least {needed:,} MiB.")
_BUDGET_AND_SWAP = N_("It needs swap to disk and a budget of at least {needed:,} MiB.")
_CHANGES = {
    "micro_batch": N_("a batch of {value}"),
    "kv_type": N_("a context precision of {value}"),
    "context_length": N_("a context of {value} tokens"),
    "swap_enabled": N_("swap to disk"),
}


def _change_text(asked: LoadSettings, fits: LoadSettings) -> str:
    changes = []
    for key, text in _CHANGES.items():
        value = getattr(fits, key)
        if value != getattr(asked, key):
            changes.append(tr(text, value=f"{value:,}" if isinstance(value, int) else value))
    return tr("It fits with {changes}.", changes=", ".join(changes))
