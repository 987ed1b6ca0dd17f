"""Plans a model's memory before it is loaded.

Pure arithmetic over the file's header and the settings: no native code, no measuring. MiB.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import ceil

from deepseek_r1.core import wings
from deepseek_r1.core.errors import ContextTooLarge
from deepseek_r1.core.events import Bill, BillItem, BillLine
from deepseek_r1.core.settings import DraftMode, KVType, LoadSettings
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.hardware import converts_f16_slowly, packs_weights
from deepseek_r1.memory import cost_model
from deepseek_r1.memory.kernel_times import KernelTimes, kept_times
from deepseek_r1.weights.residency import (
    Residency,
    cache_strategy,
    expert_layers,
    least_weights_mib,
    plan_residency,
)

STREAMED_WEIGHT_ITEMS = (BillItem.PINNED, BillItem.SLOTS, BillItem.EXPERTS)
WEIGHT_ITEMS = (BillItem.WEIGHTS, *STREAMED_WEIGHT_ITEMS)  # of any bill
_OPTIONAL = {BillItem.EXPERTS, BillItem.DRAFT, BillItem.EMBEDDING, BillItem.STATE}
DRAFT_TOKENS = 15  # the most that are verified along with the sampled token
DECODE_ROWS = 1 + DRAFT_TOKENS  # the most rows of logits that a decode pass computes
AUTOMATIC_ROWS = cost_model.AUTOMATIC_ROWS
LOOKUP_MIB = 2.0  # of the automata in which drafts are looked up
_SHORT_CELLS = 512  # the cells that the beginning of a conversation uses
LEAST_CONTEXT = 512  # an answer needs some context; neither advice nor automatic goes below
_PREFERRED_CONTEXT = 4096  # automatic: as much as this before weights are left to the disk
AUTOMATIC_SHARE = 1 / 4  # of the budget at most for a context beyond the preferred one
AUTOMATIC_SPARE = 1 / 16  # of the budget that such a context leaves free beside weights in memory
RENDERER_MIB = 14.0  # measured: 12, without the libraries that it shares, and 2 for any template
LEGACY_PROCESS_MIB = 48.0  # of the process that holds an old file, without the model
FIRST_ANSWER_MIB = 2.0  # of the libraries, which the first answer pages in
# Measured on Linux: resident memory of the engine's process with its libraries loaded and no model;
# Jinja is in the renderer's. A constant, so that the bill of a model with its settings is the same
# wherever it is made. On other systems the engine measures itself (`memory.forecast`).
ENGINE_RUNTIME_MIB = 43.0 + FIRST_ANSWER_MIB + RENDERER_MIB
_RESERVE_MIB = 3.0  # stacks of the threads, the allocator's slack, the graph's own nodes
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class ProcessOverhead:
    """Memory of the processes without a model, in MiB.

    `runtime_mib` is the engine's interpreter and libraries. `window_mib` is the caller's process:
    the window or the command line, 0 where the caller is the engine's process. `packs`: on this
    processor, weights that llama.cpp repacks take more memory; by `times` they are repacked or not.
    `slow_f16`: an automatic precision of the context is q8_0. `draft_mib` is the draft model with
    its cache and buffers, 0 without one; `embedding_mib` the embedding model; `driver_mib` the
    driver of a graphics processor that reads prompts.
    """

    runtime_mib: float = ENGINE_RUNTIME_MIB
    window_mib: float = 0.0
    packs: bool = field(default_factory=packs_weights)
    times: KernelTimes = field(default_factory=kept_times)
    slow_f16: bool = field(default_factory=converts_f16_slowly)
    draft_mib: float = 0.0
    embedding_mib: float = 0.0
    driver_mib: float = 0.0


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """The memory of a model with its settings; the bill is its printout.

    `residency` is where the weights are; None where all of them are in memory.
    """

    bill: Bill
    residency: Residency | None = None


def plan(header: ModelHeader, settings: LoadSettings, overhead: ProcessOverhead) -> MemoryPlan:
    """The plan of a model with these settings.

    A model that does not fit and may use the disk has a line for pinned weights, one for slots, and
    one for its experts where it has some. The vocabulary's tables are part of the runtime. An
    automatic context is the one that `with_context` returns.
    """
    settings = with_context(header, settings, overhead)
    bill = _resident_bill(header, settings, overhead)
    if _may_stream(bill, header, settings):
        return plan_streaming(header, settings, overhead)
    return MemoryPlan(bill)


def plan_streaming(
    header: ModelHeader, settings: LoadSettings, overhead: ProcessOverhead
) -> MemoryPlan:
    """The plan of a model that is streamed from the disk, also where it would fit into memory.

    Weights get what the other lines leave of the budget, and their least where that is too little.
    """
    settings = with_context(header, settings, overhead)
    fixed = _fixed_mib(header, settings, overhead, decode_rows(settings))
    weights_mib = settings.memory_budget - sum(fixed.values())
    chunk_bytes = cost_model.chunk_bytes(settings)
    residency = plan_residency(header, weights_mib, chunk_bytes=chunk_bytes)
    weights_mib += _reclaimable_mib(header, settings)
    short = plan_residency(header, weights_mib, chunk_bytes=chunk_bytes)
    mib = {
        BillItem.PINNED: residency.pinned_mib,
        BillItem.SLOTS: residency.slots_mib,
        BillItem.EXPERTS: residency.experts_mib,
        **fixed,
    }
    bill = Bill(
        lines=_lines(mib),
        budget_mib=settings.memory_budget,
        context_length=settings.context_length,
        streamed_mib=residency.streamed_mib,
        short_streamed_mib=short.streamed_mib,
        experts_kept=cache_strategy(
            expert_layers(header), residency.experts_bytes, settings.cache_strategy
        ),
    )
    return MemoryPlan(bill, residency)


def residency_without_draft(
    header: ModelHeader, settings: LoadSettings, overhead: ProcessOverhead
) -> Residency | None:
    """The residency of a streamed model once its draft model is freed; None without a draft."""
    if not overhead.draft_mib:
        return None
    return plan_streaming(header, settings, replace(overhead, draft_mib=0.0)).residency


def with_context(
    header: ModelHeader, settings: LoadSettings, overhead: ProcessOverhead
) -> LoadSettings:
    """Returns `settings` with values in place of an automatic context and its precision.

    The length is the longest one that fits the budget, up to what the model was trained for. Beyond
    4,096 tokens it takes at most a quarter of the budget, so that the budget can be lowered while
    the model is loaded; it leaves room for a window that grows, and no weight leaves memory for it.
    Cells without tokens take no memory: streamed weights use it until a conversation needs it.
    """
    settings = with_precision(settings, slow_f16=overhead.slow_f16, header=header)
    if settings.context_length:
        return settings
    trained = header.context_trained or _PREFERRED_CONTEXT
    preferred = preferred_context(header)
    if header.legacy:
        return with_length(settings, preferred)
    resident = _resident_bill(header, with_length(settings, preferred), overhead).fits
    streams = settings.swap_enabled and not resident
    chunk_bytes = cost_model.chunk_bytes(settings)
    weights_mib = least_weights_mib(header, chunk_bytes=chunk_bytes) if streams else 0.0

    def allowed(length: int) -> bool:
        tried = with_length(settings, length)
        share = cost_model.kv_cache_bytes(header, tried) / _MIB / settings.memory_budget
        if length > preferred and share > AUTOMATIC_SHARE:
            return False
        if not streams:
            spare = AUTOMATIC_SPARE if length > preferred else 0.0
            whole_mib = _resident_bill(header, tried, overhead).total_mib
            return whole_mib <= settings.memory_budget * (1 - spare)
        return weights_mib + _streaming_mib(header, tried, overhead) <= settings.memory_budget

    if allowed(trained):
        return with_length(settings, trained)
    return with_length(settings, longest_context(allowed, min(trained, LEAST_CONTEXT), trained))


def with_precision(
    settings: LoadSettings, *, slow_f16: bool, header: ModelHeader | None = None
) -> LoadSettings:
    """Return `settings` with a number type in place of an automatic one.

    Heads that blocks of q8_0 do not fit into get f16 on any processor.
    """
    if settings.kv_type is not KVType.AUTO:
        return settings
    in_blocks = header is None or cost_model.heads_in_blocks(header)
    kind = KVType.Q8_0 if slow_f16 and in_blocks else KVType.F16
    return settings.model_copy(update={"kv_type": kind})


def preferred_context(header: ModelHeader) -> int:
    """The tokens that an automatic context has where the budget holds them."""
    return min(header.context_trained or _PREFERRED_CONTEXT, _PREFERRED_CONTEXT)


def longest_context(allowed: Callable[[int], bool], least: int, most: int) -> int:
    """The longest allowed context below `most`, in whole steps; `least` where none is allowed."""
    low, high = least // cost_model.CONTEXT_STEP, (most - 1) // cost_model.CONTEXT_STEP
    while low < high:
        middle = (low + high + 1) // 2
        if allowed(middle * cost_model.CONTEXT_STEP):
            low = middle
        else:
            high = middle - 1
    return max(least, low * cost_model.CONTEXT_STEP)


def with_length(settings: LoadSettings, length: int) -> LoadSettings:
    """Return `settings` with a context of this length."""
    return settings.model_copy(update={"context_length": length})


def decode_rows(settings: LoadSettings) -> int:
    """The most rows of logits that a decode pass computes with these settings."""
    if settings.drafts is DraftMode.OFF:
        return 1
    by_name = settings.drafts is not DraftMode.AUTO or bool(settings.draft_path)
    return DECODE_ROWS if by_name else AUTOMATIC_ROWS


def least_budget_mib(header: ModelHeader, settings: LoadSettings, overhead: ProcessOverhead) -> int:
    """The smallest budget that a streamed model can be moved to."""
    settings = with_context(header, settings, overhead)
    least = ceil(_least_streaming_mib(header, settings, overhead))
    return max(least, int(LoadSettings.bounds("memory_budget")[0]))


def _least_streaming_mib(
    header: ModelHeader, settings: LoadSettings, overhead: ProcessOverhead
) -> float:
    """All memory of a model that streams as much as it can."""
    weights_mib = least_weights_mib(header, chunk_bytes=cost_model.chunk_bytes(settings))
    return weights_mib + _streaming_mib(header, settings, overhead)


def _streaming_mib(header: ModelHeader, settings: LoadSettings, overhead: ProcessOverhead) -> float:
    """All lines but the weights of a model that streams."""
    rows = decode_rows(settings)
    return sum(_fixed_mib(header, settings, overhead, rows).values())


def _resident_bill(header: ModelHeader, settings: LoadSettings, overhead: ProcessOverhead) -> Bill:
    mib = {BillItem.WEIGHTS: _weights_mib(header, overhead)}
    mib |= _fixed_mib(header, settings, overhead, decode_rows(settings))
    return Bill(
        lines=_lines(mib),
        budget_mib=settings.memory_budget,
        context_length=settings.context_length,
    )


def _may_stream(bill: Bill, header: ModelHeader, settings: LoadSettings) -> bool:
    return not bill.fits and settings.swap_enabled and not header.legacy


def fits(header: ModelHeader, settings: LoadSettings, overhead: ProcessOverhead) -> bool:
    """Whether the plan stays inside the budget, without the rest of the plan."""
    settings = with_context(header, settings, overhead)
    bill = _resident_bill(header, settings, overhead)
    if not _may_stream(bill, header, settings):
        return bill.fits
    return _least_streaming_mib(header, settings, overhead) <= settings.memory_budget


def _lines(mib: Mapping[BillItem, float]) -> tuple[BillLine, ...]:
    """The lines in the order of `BillItem`; of what only some models have, those with memory."""
    items = [each for each in BillItem if each in mib and (mib[each] or each not in _OPTIONAL)]
    return tuple(BillLine(name=each, planned_mib=mib[each]) for each in items)


def _reclaimable_mib(header: ModelHeader, settings: LoadSettings) -> float:
    """Memory of the context that weights have while a conversation is short."""
    length = min(settings.context_length, _SHORT_CELLS)
    short = settings.model_copy(update={"context_length": length})
    cells = cost_model.kv_cache_bytes(header, settings) - cost_model.kv_cache_bytes(header, short)
    batch = cost_model.compute_bytes(header, settings, DECODE_ROWS)
    return (cells + batch - cost_model.decode_compute_bytes(header, settings, DECODE_ROWS)) / _MIB


def _weights_mib(header: ModelHeader, overhead: ProcessOverhead) -> float:
    if header.legacy:
        weights_mib: float = wings.entry("old_weights_mib")(header)
        return weights_mib
    # Graphics takes the file's layout.
    packed = overhead.packs and not overhead.driver_mib and overhead.times.repacks(header)
    return cost_model.weights_bytes(header, packed=packed) / _MIB


def _fixed_mib(
    header: ModelHeader, settings: LoadSettings, overhead: ProcessOverhead, rows: int = 1
) -> dict[BillItem, float]:
    """All lines but the weights, for `rows` rows of logits at once."""
    reserve_mib = _RESERVE_MIB
    if header.legacy:
        mib: dict[BillItem, float] = wings.entry("old_fixed_mib")(header, settings)
    else:
        reserve_mib += LOOKUP_MIB if rows > 1 else 0.0
        reserve_mib += cost_model.buffer_bytes(header, settings) / _MIB
        mib = {
            BillItem.KV_CACHE: cost_model.kv_cache_bytes(header, settings) / _MIB,
            BillItem.STATE: cost_model.state_bytes(header, rows) / _MIB,
            BillItem.COMPUTE: cost_model.compute_bytes(header, settings, rows) / _MIB,
            BillItem.OUTPUT: cost_model.output_bytes(header, rows) / _MIB,
            BillItem.RUNTIME: cost_model.runtime_bytes(header, settings) / _MIB,
        }
    mib[BillItem.RUNTIME] += overhead.runtime_mib
    if overhead.driver_mib:
        buffers_bytes = cost_model.graphics_bytes(header, settings)
        mib[BillItem.GRAPHICS] = overhead.driver_mib + buffers_bytes / _MIB
    return mib | {
        BillItem.DRAFT: overhead.draft_mib,
        BillItem.EMBEDDING: overhead.embedding_mib,
        BillItem.WINDOW: overhead.window_mib,
        BillItem.RESERVE: reserve_mib,
    }


def require_context(header: ModelHeader, settings: LoadSettings) -> None:
    """Raise ContextTooLarge for more context than the model was trained for."""
    if 0 < header.context_trained < settings.context_length:
        raise ContextTooLarge(asked=settings.context_length, trained=header.context_trained)
