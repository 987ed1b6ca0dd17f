"""Scores a model on a text and compares it with a base model, token by token.

The text is cut into windows of equal length, and the second half of each is scored. Perplexity
is exp of the mean negative log-likelihood; the divergence is Kullback-Leibler of the whole
distribution, D(base || model), computed from float32 log-probabilities of the base.

`python -m deepseek_r1.lab.quality_measure` is the child process: it reads a request, and writes
progress and a result.
"""

import hashlib
import shutil
import time
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.engine.llama.binding.evaluate import Evaluator
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.lab.errors import NoSpaceForLogits, VocabulariesDiffer
from deepseek_r1.lab.importance_matrix import collect
from deepseek_r1.lab.quality_load import load, piece_within, read_text, windows
from deepseek_r1.lab.quality_run import (
    Collect,
    Divergence,
    Evaluate,
    Measurement,
    MeasurementProgress,
    OnProgress,
    Undecided,
    requests,
)
from deepseek_r1.memory.meter import peak_mib
from deepseek_r1.native.child_start import serve, start_child

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
_MIB: Final = 1 << 20
_SPEED_RUNS: Final = 3
_SPEED_TOKENS: Final = 32  # decoded one at a time, in each run
_PROGRESS_EVERY_S: Final = 0.1
_MARGINS: Final = (0.0, 0.1, 0.25, 0.5, 1.0)  # nats, the lower end of each group of positions


def evaluate(request: Evaluate, on_progress: OnProgress) -> Measurement:
    """Score the request's text. Raises `MeasuringRefused` and `ModelRefused`."""
    header, terms, base = read_header(request.model), request.terms, request.base
    text = read_text(terms.text)
    piece = piece_within(header, terms.window, terms.memory_budget_mib)
    with load(header, terms.window, piece, terms.threads) as evaluator:
        vocabulary = evaluator.model.vocabulary
        cut = windows(evaluator, text, terms.window, _window_count(request, vocabulary))
        digest = hashlib.sha256(np.asarray(cut, "<i4").tobytes()).hexdigest()
        if base and (base.tokens_sha256, base.vocabulary) != (digest, vocabulary):
            raise VocabulariesDiffer(a=base.name, b=header.name)
        prefill, decode = _speed(evaluator, cut[0])
        loaded_mib = peak_mib()
        with request.rows.open("rb" if base else "wb") as rows:
            scores = _Scores(rows, compared=base is not None)
            for done, window in enumerate(cut):
                on_progress(done, len(cut))
                for logits, following in _scored(evaluator, window):
                    scores.add(logits, following)
    return Measurement(
        name=header.name,
        file_bytes=header.file_bytes,
        quantisation=header.quantisation,
        tokens_sha256=digest,
        vocabulary=vocabulary,
        window=terms.window,
        prefill_tok_s=prefill,
        decode_tok_s=decode,
        loaded_mib=loaded_mib,
        peak_mib=peak_mib(),
        **scores.results(),
    )


def _window_count(request: Evaluate, vocabulary: int) -> int:
    """Returns the windows that the request and the disk allow. Raises NoSpaceForLogits."""
    scored_per_window = request.terms.window // 2
    if request.base is not None:
        return request.base.scored // scored_per_window
    window_bytes = scored_per_window * vocabulary * 4
    free = shutil.disk_usage(request.rows.parent).free
    given = min(request.terms.disk_limit_mib * _MIB, free)
    count = min(request.terms.most_scored // scored_per_window, given // window_bytes)
    if count < 1:
        needed_mib = -(-window_bytes // _MIB)
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
    """The scores of all positions. Writes the base's rows, or reads and compares them."""

    def __init__(self, rows: BinaryIO, *, compared: bool) -> None:
        self._rows, self._compared = rows, compared
        self._nll: list[Floats] = []
        self._kl: list[npt.NDArray[np.float64]] = []
        self._correct: list[Flags] = []
        self._differs: list[Flags] = []
        self._margins: list[Floats] = []

    def add(self, logits: Floats, following: npt.NDArray[np.int64]) -> None:
        rows = log_softmax(logits)
        self._nll.append(-rows[np.arange(len(rows)), following])
        self._correct.append(rows.argmax(1) == following)
        if not self._compared:
            self._rows.write(rows.data)
            return
        base = np.fromfile(self._rows, np.float32, rows.size).reshape(rows.shape)
        self._kl.append(divergence(base, rows))
        self._differs.append(base.argmax(1) != rows.argmax(1))
        self._margins.append(margins(base))

    def results(self) -> dict[str, Any]:
        """Returns the fields of a `Measurement` that are means over the positions."""
        nll, nll_error = _mean(np.concatenate(self._nll))
        correct, correct_error = _mean(np.concatenate(self._correct), ddof=0)
        return {
            "scored": sum(map(len, self._nll)),
            "nll": nll,
            "nll_error": nll_error,
            "correct": correct,
            "correct_error": correct_error,
            "divergence": self._divergence() if self._compared else None,
        }

    def _divergence(self) -> Divergence:
        values, differs = np.concatenate(self._kl), np.concatenate(self._differs)
        mean, error = _mean(values)
        agreement, agreement_error = _mean(~differs, ddof=0)
        return Divergence(
            mean=mean,
            mean_error=error,
            p99=float(np.percentile(values, 99)),
            worst=float(values.max()),
            agreement=agreement,
            agreement_error=agreement_error,
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


def _mean(values: npt.NDArray[Any], ddof: int = 1) -> tuple[float, float]:
    """Returns the mean and its standard error; with `ddof` 0 that of a share of flags."""
    spread = float(values.std(ddof=ddof, dtype=np.float64)) if len(values) > 1 else 0.0
    return float(values.mean(dtype=np.float64)), spread / len(values) ** 0.5


def main() -> None:
    """Read a request from standard input and carry it out."""
    child = start_child(ChildKind.MEASUREMENT)
    due_at = 0.0

    def on_progress(done: int, total: int) -> None:
        nonlocal due_at
        if time.monotonic() >= due_at:
            child.send(MeasurementProgress(done=done, total=total))
            due_at = time.monotonic() + _PROGRESS_EVERY_S

    def answer(request: Evaluate | Collect) -> BaseModel:
        if isinstance(request, Collect):
            return collect(request, on_progress)
        return evaluate(request, on_progress)

    serve(child, requests, answer, _failure)


def _failure(_request: object, error: Exception) -> R1Error:
    raise error  # a bug: its trace is the owner's explanation


if __name__ == "__main__":
    main()
