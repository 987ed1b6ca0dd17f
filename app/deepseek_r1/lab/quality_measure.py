"""Scores a model on a text and compares it with a base model, token by token.

The text is cut into windows of equal length, and the second half of each is scored. Perplexity
is exp of the mean negative log-likelihood; the divergence is Kullback-Leibler of the whole
distribution, D(base || model), computed from float32 log-probabilities of the base.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from deepseek_r1.engine.llama.binding.evaluate import Evaluator
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.lab.quality_load import load, piece_within, read_text, windows
from deepseek_r1.lab.quality_messages import (
    Divergence,
    Evaluate,
    Measurement,
    NoSpaceForLogits,
    Undecided,
    VocabulariesDiffer,
)
from deepseek_r1.memory.meter import peak_mib

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
_MIB: Final = 1 << 20
_SPEED_RUNS: Final = 3
_SPEED_TOKENS: Final = 32  # decoded one at a time, in each run
_MARGINS: Final = (0.0, 0.1, 0.25, 0.5, 1.0)  # nats, the lower end of each group of positions


def evaluate(request: Evaluate, on_progress: Callable[[int, int], None]) -> Measurement:
    """Score the request's text. Raises `MeasuringRefused` and `ModelRefused`."""
    header = read_header(request.model)
    text = read_text(request.text)
    piece = piece_within(header, request.window, request.memory_budget_mib)
    with load(header, request.window, piece, request.threads) as evaluator:
        count = _window_count(request, evaluator.model.vocabulary)
        cut = windows(evaluator, text, request.window, count)
        digest = hashlib.sha256(np.asarray(cut, "<i4").tobytes()).hexdigest()
        base = request.base
        if base and (base.tokens_sha256, base.vocabulary) != (digest, evaluator.model.vocabulary):
            raise VocabulariesDiffer(a=base.name, b=header.name)
        prefill, decode = _speed(evaluator, cut[0])
        loaded_mib = peak_mib()
        with _Scores(request.rows, compared=base is not None) as scores:
            for done, window in enumerate(cut):
                on_progress(done, len(cut))
                for logits, following in _scored(evaluator, window):
                    scores.add(logits, following)
            nll, nll_error = scores.nll()
            correct, correct_error = scores.correct()
            divergence = scores.divergence() if base is not None else None
        return Measurement(
            name=header.name,
            file_bytes=header.file_bytes,
            quantisation=header.quantisation,
            tokens_sha256=digest,
            vocabulary=evaluator.model.vocabulary,
            window=request.window,
            scored=scores.count,
            nll=nll,
            nll_error=nll_error,
            correct=correct,
            correct_error=correct_error,
            prefill_tok_s=prefill,
            decode_tok_s=decode,
            loaded_mib=loaded_mib,
            peak_mib=peak_mib(),
            divergence=divergence,
        )


def _window_count(request: Evaluate, vocabulary: int) -> int:
    """Returns the windows that the request and the disk allow. Raises NoSpaceForLogits."""
    scored_per_window = request.window // 2
    row_bytes = vocabulary * 4
    if request.base is not None:
        return request.base.scored // scored_per_window
    free = shutil.disk_usage(request.rows.parent).free
    given = min(request.rows_limit_mib * _MIB, free)
    count = min(request.most_scored // scored_per_window, given // (scored_per_window * row_bytes))
    if count < 1:
        needed_mib = -(-scored_per_window * row_bytes // _MIB)
        raise NoSpaceForLogits(needed_mib=needed_mib, given_mib=given // _MIB)
    return count


def _speed(evaluator: Evaluator, window: Sequence[int]) -> tuple[float, float]:
    """Returns the prefill and decode speed in tokens per second, each the median of a few runs."""
    count = min(_SPEED_TOKENS, len(window) // 8)
    prompt = window[:-count][: 4 * evaluator.piece]
    reading, writing = [], []
    for _run in range(_SPEED_RUNS):
        evaluator.begin()
        started = time.perf_counter()
        for at in range(0, len(prompt), evaluator.piece):
            evaluator.compute(prompt[at : at + evaluator.piece], every=False)
        read = time.perf_counter()
        for token in window[-count:]:
            evaluator.compute([token])
        reading.append(len(prompt) / (read - started))
        writing.append(count / (time.perf_counter() - read))
    return median(reading), median(writing)


def _scored(
    evaluator: Evaluator, window: list[int]
) -> Iterator[tuple[Floats, npt.NDArray[np.int64]]]:
    """Yields the logits that predict the second half, with the tokens that follow, in batches."""
    first = len(window) - len(window) // 2 - 1  # this one predicts the first scored token
    evaluator.begin()
    for at in range(0, first, evaluator.piece):
        evaluator.compute(window[at : min(at + evaluator.piece, first)], every=False)
    for at in range(first, len(window) - 1, evaluator.piece):
        tokens = window[at : min(at + evaluator.piece, len(window) - 1)]
        evaluator.compute(tokens)
        following = np.asarray(window[at + 1 : at + 1 + len(tokens)], np.int64)
        yield evaluator.logits(len(tokens)), following


class _Scores:
    """Sums over positions. Writes the base's rows, or reads and compares them."""

    def __init__(self, path: Path, *, compared: bool) -> None:
        self._compared = compared
        self._file: BinaryIO = path.open("rb" if compared else "wb")
        self._nll: list[Floats] = []
        self._kl: list[npt.NDArray[np.float64]] = []
        self._correct: list[Flags] = []
        self._differs: list[Flags] = []
        self._margins: list[Floats] = []

    def __enter__(self) -> _Scores:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    @property
    def count(self) -> int:
        """The number of positions."""
        return sum(len(each) for each in self._nll)

    def add(self, logits: Floats, following: npt.NDArray[np.int64]) -> None:
        """Add positions with the tokens that follow them."""
        rows = log_softmax(logits)
        self._nll.append(-rows[np.arange(len(rows)), following])
        self._correct.append(rows.argmax(1) == following)
        if not self._compared:
            self._file.write(rows.data)
            return
        base = np.fromfile(self._file, np.float32, rows.size).reshape(rows.shape)
        self._kl.append(divergence(base, rows))
        self._differs.append(base.argmax(1) != rows.argmax(1))
        self._margins.append(margins(base))

    def nll(self) -> tuple[float, float]:
        """The mean negative log-likelihood and its standard error."""
        return _mean(np.concatenate(self._nll).astype(np.float64))

    def correct(self) -> tuple[float, float]:
        """The share of positions that rank the next token first, and its standard error."""
        return _share(np.concatenate(self._correct))

    def divergence(self) -> Divergence:
        """The divergence over all positions."""
        values = np.concatenate(self._kl)
        mean, error = _mean(values)
        differs = np.concatenate(self._differs)
        share, share_error = _share(~differs)
        return Divergence(
            mean=mean,
            mean_error=error,
            p99=float(np.percentile(values, 99)),
            worst=float(values.max()),
            agreement=share,
            agreement_error=share_error,
            by_margin=grouped(np.concatenate(self._margins), differs),
        )


def log_softmax(logits: Floats) -> Floats:
    """Returns the log-probabilities of each row as a new array."""
    rows: Floats = logits - logits.max(axis=1, keepdims=True)
    rows -= np.log(np.exp(rows).sum(axis=1, keepdims=True, dtype=np.float64)).astype(np.float32)
    return rows


def divergence(base: Floats, other: Floats) -> npt.NDArray[np.float64]:
    """Returns D(base || other) for each row of log-probabilities, in nats, never below 0."""
    terms = np.exp(base)
    terms *= base - other
    sums: npt.NDArray[np.float64] = np.maximum(terms.sum(axis=1, dtype=np.float64), 0.0)
    return sums


def margins(rows: Floats) -> Floats:
    """Returns the margin of each row's first choice over the second, in nats."""
    two = np.partition(rows, -2, axis=1)[:, -2:]
    ahead: Floats = two[:, 1] - two[:, 0]
    return ahead


def grouped(ahead: Floats, differs: Flags) -> tuple[Undecided, ...]:
    """Returns positions and differing first choices, grouped by the base's margin."""
    ends = (*_MARGINS[1:], None)
    groups = []
    for least, most in zip(_MARGINS, ends, strict=True):
        inside = (ahead >= least) & (ahead < (np.inf if most is None else most))
        positions, differing = int(inside.sum()), int(differs[inside].sum())
        groups.append(Undecided(least=least, most=most, positions=positions, differing=differing))
    return tuple(groups)


def _share(flags: Flags) -> tuple[float, float]:
    share = float(flags.mean())
    return share, float((share * (1 - share) / len(flags)) ** 0.5)


def _mean(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return float(values.mean()), spread / len(values) ** 0.5
