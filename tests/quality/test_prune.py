"""Fewer channels: an ordinary smaller file, and the rest fitted to what was lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from convert.plain_llama import PlainLlama
from deepseek_r1.convert.job import Wish
from deepseek_r1.convert.precision import precision_named
from deepseek_r1.convert.prune import Pruning, compensated, kept_channels, most_important, prune
from deepseek_r1.convert.quality_child import Launch
from deepseek_r1.convert.quality_errors import PruningRefused
from deepseek_r1.formats.gguf import read_header
from quality.conftest import TEXTS, converted

pytestmark = pytest.mark.native


def test_a_pruned_model_is_smaller_says_so_and_opens_in_plain_llama_cpp(
    starter: Path, int8: Path, started: Launch, tmp_path: Path
):
    wish = Wish(starter, tmp_path / "pruned.gguf", precision_named("int8"), 2048, threads=2)
    done = prune(
        wish,
        Pruning(0.3, TEXTS / "calibration.txt"),
        started,
        lambda _done, _total: None,
        lambda _progress: None,
    )
    header = read_header(done.path)
    assert header.feed_forward == 1088
    assert header.file_bytes < 0.85 * int8.stat().st_size
    assert str(header.metadata["general.description"]).startswith("Lossy: 29 %")
    with PlainLlama(done.path) as model:
        tokens = model.tokens("The capital of France is")
        assert model.logits(tokens).shape == (len(tokens), header.vocabulary)


def test_the_fit_restores_what_a_removed_copy_carried():
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(400, 6)).astype(np.float32)
    inputs[:, 5] = 2 * inputs[:, 0]
    down = rng.normal(size=(4, 6)).astype(np.float32)
    chosen = np.arange(5)
    whole = inputs @ down.T
    fitted = inputs[:, chosen] @ compensated(down, inputs.T @ inputs, chosen).T
    cut = inputs[:, chosen] @ down[:, chosen].T
    assert np.linalg.norm(fitted - whole) < 0.05 * np.linalg.norm(cut - whole)


def test_the_channels_that_contribute_least_go():
    down = np.array([[1.0, 9.0, 3.0]], np.float32)
    squares = np.array([100.0, 0.01, 4.0], np.float32)  # contributions 10, 0.9, 6
    assert most_important(down, squares, 2).tolist() == [0, 2]


def test_a_mixture_of_experts_is_refused(tmp_path: Path):
    folder = Path(__file__).parents[1] / "convert" / "reference" / "deepseek_v2"
    model = converted(folder, tmp_path / "mixture.gguf", "f32")
    with pytest.raises(PruningRefused):
        kept_channels(read_header(model), 0.3)
