"""What a head computes: the numbers of EAGLE-3, from the hidden states that its target had.

The other side is written in numpy from the description of the head: the states of three layers are
fused, each token is paired with the fused state before it, and one decoder layer reads the pairs.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np
import pytest

from deepseek_r1.engine.llama.speculative.draft_length import LengthRule
from deepseek_r1.engine.llama.speculative.eagle_head import EagleHead
from deepseek_r1.engine.llama.speculative.row_curve import RowCurve
from deepseek_r1.formats.gguf import read_header
from support.eagle_heads import (
    EPSILON,
    FREQ_BASE,
    HEAD_WIDTH,
    HEADS,
    HEADS_KV,
    Floats,
    attached,
    head_weights,
    write_head,
)
from support.gguf_files import EMBEDDING, tiny_llama
from support.streaming import loaded

pytestmark = pytest.mark.integration

LAYERS = (1, 0, 1)  # in the order of the file, not of the model
FREE = LengthRule(RowCurve({1: 1e3, 16: 1e3}))  # passes that outweigh any drafting
TEXT = [300, 12, 340, 77, 301, 290, 350, 12, 340, 80, 299]


class HeadInNumpy:
    """A head's decoder with the cells that it has computed."""

    def __init__(self, weights: dict[str, Floats], embedding: Floats, residual: bool) -> None:
        self._weights, self._embedding, self._residual = weights, embedding, residual
        self._keys: list[Floats] = []
        self._values: list[Floats] = []

    def _norm(self, values: Floats, name: str) -> Floats:
        return values / np.sqrt(np.mean(values**2) + EPSILON) * self._weights[name]

    def fused(self, features: Floats) -> Floats:
        """The state before a token, from the features of one position."""
        if "enc.output_norm.weight" in self._weights:
            features = self._norm(features, "enc.output_norm.weight")
        return self._weights["fc.weight"] @ features

    def step(self, token: int, state: Floats) -> tuple[Floats, Floats]:
        """The logits after a token, and the next state."""
        weights, block = self._weights, "blk.0."
        normed = self._norm(state, block + "attn_norm_2.weight")
        pair = np.concatenate(
            [self._norm(self._embedding[token], block + "attn_norm.weight"), normed]
        )
        position = len(self._keys)
        query = rotated((weights[block + "attn_q.weight"] @ pair).reshape(HEADS, -1), position)
        key = rotated((weights[block + "attn_k.weight"] @ pair).reshape(HEADS_KV, -1), position)
        self._keys.append(key)
        self._values.append((weights[block + "attn_v.weight"] @ pair).reshape(HEADS_KV, -1))
        attended = np.concatenate([self._attend(head, query[head]) for head in range(HEADS)])
        inner = weights[block + "attn_output.weight"] @ attended
        inner = inner + (normed if self._residual else state)
        wide = self._norm(inner, block + "ffn_norm.weight")
        gate = weights[block + "ffn_gate.weight"] @ wide
        up = weights[block + "ffn_up.weight"] @ wide
        after = inner + weights[block + "ffn_down.weight"] @ (gate / (1 + np.exp(-gate)) * up)
        return weights["output.weight"] @ self._norm(after, "output_norm.weight"), after

    def _attend(self, head: int, query: Floats) -> Floats:
        shared = head * HEADS_KV // HEADS
        scores = np.array([key[shared] @ query for key in self._keys]) / np.sqrt(HEAD_WIDTH)
        shares = np.exp(scores - scores.max())
        return (shares / shares.sum()) @ np.array([value[shared] for value in self._values])


def rotated(heads: Floats, position: int) -> Floats:
    """Rotary positions, as llama.cpp applies them to neighbouring pairs."""
    angles = position * FREQ_BASE ** (-np.arange(0, HEAD_WIDTH, 2) / HEAD_WIDTH)
    even, odd = heads[:, 0::2], heads[:, 1::2]
    turned = np.empty_like(heads)
    turned[:, 0::2] = even * np.cos(angles) - odd * np.sin(angles)
    turned[:, 1::2] = even * np.sin(angles) + odd * np.cos(angles)
    return turned


class Recorder:
    """Notes the target's features at each position, and passes everything on to the head."""

    def __init__(self, head: EagleHead) -> None:
        self._head, self.features = head, {}

    def on_computed(self, first: int) -> None:
        self._head.on_computed(first)
        target = self._head._target
        self._head._features.take()
        parts = [
            np.ctypeslib.as_array(
                (ctypes.c_float * (EMBEDDING * (len(target.cells) - first))).from_address(each)
            ).reshape(-1, EMBEDDING)
            for each in self._head._features._inputs
        ]
        for row, values in enumerate(np.concatenate(parts, axis=1)):
            self.features[first + row] = values.copy()

    def on_truncated(self, length: int) -> None:
        self._head.on_truncated(length)


def dequantised(path: Path, name: str) -> Floats:
    """A tensor of a file in single precision."""
    found = next(each for each in gguf.GGUFReader(path).tensors if each.name == name)
    return gguf.quants.dequantize(found.data, found.tensor_type).astype(np.float32)


KINDS = {
    "plain": {},
    "fewer tokens": {"outputs": 40},
    "own embedding of another width": {"width": 48, "own_embedding": True},
    "norm before fusing": {"norm_before_fc": True},
    "normed residual": {"residual": True},
}


@pytest.mark.parametrize("kind", KINDS)
def test_drafts_have_the_numbers_of_the_formulas(tmp_path: Path, kind: str) -> None:
    options = {"width": EMBEDDING, "target_width": EMBEDDING} | KINDS[kind]
    residual = bool(options.pop("residual", False))
    target = tiny_llama(tmp_path / "target.gguf")
    count = read_header(target).vocabulary
    weights = head_weights(tokens=count, **options)
    table = None
    if options.get("outputs"):
        table = [int(each) for each in np.random.default_rng(3).permutation(count)[:40]]
    file = write_head(
        tmp_path / "head.gguf",
        target,
        weights,
        layers=LAYERS,
        target_width=EMBEDDING,
        table=table,
        norm_before_residual=residual,
    )
    with loaded(target, None, draft_tokens=15) as bench:
        context, head = bench.context, attached(bench, file)
        recorder = context.listener = Recorder(head)
        context.compute(TEXT[:7])
        context.compute_one(TEXT[7])
        context.compute_with_drafts([TEXT[8], TEXT[9], 5, 6])
        context.truncate(10)  # the last two were wrong
        head.begin(TEXT[:7], reproducible=False)
        head.observe(TEXT[7:])
        draft = head.propose(FREE, 3)
        logits = logits_of(head, count)
        head.close()
    embedding = weights.get("token_embd.weight", dequantised(target, "token_embd.weight"))
    numpy = HeadInNumpy(weights, embedding, residual)
    for position in range(10):
        found, state = numpy.step(TEXT[position + 1], numpy.fused(recorder.features[position]))
    drafted: list[int] = []
    for _ in range(3):
        likeliest = int(found.argmax())
        drafted.append(likeliest if table is None else table[likeliest])
        last = found
        found, state = numpy.step(drafted[-1], state)
    assert draft.tokens == tuple(drafted)
    given = logits if table is None else logits[table]
    assert np.abs(given - last).max() < 0.01 * np.abs(last).max()
    if table is not None:
        assert np.isneginf(np.delete(logits, table)).all()


def logits_of(head: EagleHead, count: int) -> Floats:
    """The logits that the last drafted token was chosen from."""
    values: Sequence[float] = head._logits()[:count]
    return np.array(values, dtype=np.float32)


def test_features_are_what_the_layers_get(tmp_path: Path) -> None:
    """The first layer gets the embedding's rows, and the second what the first has made."""
    target = tiny_llama(tmp_path / "target.gguf")
    count = read_header(target).vocabulary
    file = write_head(
        tmp_path / "head.gguf",
        target,
        head_weights(EMBEDDING, EMBEDDING, count),
        layers=LAYERS,
        target_width=EMBEDDING,
    )
    with loaded(target, None, draft_tokens=15) as bench:
        context, head = bench.context, attached(bench, file)
        recorder = context.listener = Recorder(head)
        context.compute(TEXT)
        head.close()
    rows = dequantised(target, "token_embd.weight")
    for position, token in enumerate(TEXT):
        second, first, again = np.split(recorder.features[position], 3)
        assert np.allclose(first, rows[token], atol=1e-5)
        assert np.array_equal(second, again)
        assert np.abs(second - first).max() > 0.01
