"""Measures the time of a pass by its rows, once for a model, a draft model and a machine."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from deepseek_r1.core.events import WeightsStats
from deepseek_r1.engine.draft_times import DraftTimes
from deepseek_r1.engine.llama.context import LlamaContext
from deepseek_r1.engine.llama.speculative.model_proposer import ModelProposer
from deepseek_r1.engine.llama.speculative.row_curve import MEASURED_ROWS, pass_s
from deepseek_r1.engine.llama.threads import OtherProcessesLoad

_REPEATS = 2
_DRAFTED_TOKENS = 9
_CALM_CORES = 0.3  # cores that other programs may use
_MIB_LEAST = 1.0  # read by a pass that streams
_MOST_WAIT_SHARE = 0.9  # of a pass: it always computes for a while
_UNHIDDEN = 0.5  # assumed beside busy programs: the median of many runs
_STEPS = 20  # of the shares that are tried


class PassTime(NamedTuple):
    """The seconds of one pass and of its computing, and the MiB that it read.

    `processor_s` is the processor's time, divided by the number of threads.
    """

    seconds: float
    compute_s: float
    read_mib: float
    processor_s: float = 0.0


def measure_rows(
    context: LlamaContext,
    vocabulary: int,
    draft: ModelProposer | None,
    weights_stats: Callable[[], WeightsStats | None],
    go_on: Callable[[], None],
) -> DraftTimes:
    """Compute passes of 1 to 16 rows and return their times. The context is empty afterwards.

    The least time of several passes counts. Most passes have one row: a draft would seem cheap if
    the plain passes had been held up. `go_on` is called between two passes and may raise. Raises
    AbortedError, EngineFailed.
    """
    context.clear()
    others_load = OtherProcessesLoad()
    _pass(context, vocabulary, 1)  # loads what is still being loaded, and learns the order of reads
    passes: dict[int, list[PassTime]] = defaultdict(list)
    for more in MEASURED_ROWS[1:] * _REPEATS:
        for rows in (1, more):
            go_on()
            before, began, worked_s = weights_stats(), time.perf_counter(), time.process_time()
            _pass(context, vocabulary, rows)
            seconds, worked_s = time.perf_counter() - began, time.process_time() - worked_s
            after = weights_stats()
            wait_s = read_mib = 0.0
            if before is not None and after is not None:
                read = after.since(before)
                wait_s, read_mib = read.io_wait_s, read.read_mib
            compute_s = seconds - min(wait_s, _MOST_WAIT_SHARE * seconds)
            threads = context.params.threads if rows == 1 else context.params.threads_prefill
            passes[rows].append(PassTime(seconds, compute_s, read_mib, worked_s / threads))
    context.clear()
    go_on()
    token_s = draft.measure_token_s(_DRAFTED_TOKENS) if draft is not None else 0.0
    calm = others_load() < _CALM_CORES
    return _draft_times(passes, calm=calm).model_copy(update={"token_s": token_s})


def _draft_times(passes: Mapping[int, Sequence[PassTime]], *, calm: bool) -> DraftTimes:
    """Return the times that follow from measured passes.

    Beside busy programs, computing is taken to last as long as the processor worked on it, and half
    of the shorter part not to be hidden.
    """
    rows_s = {rows: min(each.compute_s for each in found) for rows, found in passes.items()}
    plain = min(passes[1])
    if calm:
        read_s, unhidden = fitted_reading(passes)
    else:
        worked_s = {rows: min(each.processor_s for each in found) for rows, found in passes.items()}
        rows_s = {rows: min(each, worked_s[rows] or each) for rows, each in rows_s.items()}
        unhidden = _UNHIDDEN
        read_s = _read_s(plain.seconds, plain.compute_s, unhidden)
    streams = read_s and plain.read_mib > _MIB_LEAST
    return DraftTimes(
        rows_s=rows_s,
        read_mib_s=plain.read_mib / read_s if streams else 0.0,
        unhidden=unhidden,
        calm=calm,
    )


def fitted_reading(passes: Mapping[int, Sequence[PassTime]]) -> tuple[float, float]:
    """Return the seconds that reading takes, and the share of the shorter part that is not hidden.

    With these seconds the computed time of a pass of one row is the measured one; the share is the
    one that fits the other passes best.
    """
    whole_s = {rows: min(each.seconds for each in found) for rows, found in passes.items()}
    compute_s = {rows: min(each.compute_s for each in found) for rows, found in passes.items()}

    def error(unhidden: float) -> float:
        read_s = _read_s(whole_s[1], compute_s[1], unhidden)
        return sum(
            abs(pass_s(read_s, compute_s[rows], unhidden) / whole_s[rows] - 1) for rows in whole_s
        )

    unhidden = min((step / _STEPS for step in range(_STEPS + 1)), key=error)
    return _read_s(whole_s[1], compute_s[1], unhidden), unhidden


def _read_s(whole_s: float, compute_s: float, unhidden: float) -> float:
    """Return the seconds of reading in a pass of `whole_s`."""
    if whole_s >= (1 + unhidden) * compute_s or not unhidden:  # reading takes longer
        return max(0.0, whole_s - unhidden * compute_s)
    return max(0.0, (whole_s - compute_s) / unhidden)


def _pass(context: LlamaContext, vocabulary: int, rows: int) -> None:
    context.compute_with_drafts([(1000 + row) % vocabulary for row in range(rows)])
    context.truncate(0)
