"""What flows through a model's matrices is seen, completely and as it is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deepseek_r1.convert.job import ConversionRequest, convert
from deepseek_r1.convert.precision import precision_named
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.lab.importance_matrix import activations
from lab.conftest import TEXTS, converted
from support.budgets import ROOMY_MIB

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def test_every_matrix_of_a_model_is_met(starter: Path):
    text = TEXTS / "calibration.txt"
    found = activations(starter, text, most_tokens=1, memory_budget_mib=ROOMY_MIB, threads=2)
    header = read_header(starter)
    columns = {each.name: each.shape[0] for each in header.tensors if len(each.shape) == 2}
    assert {name: values.shape[-1] for name, values in found.squares.items()} == columns
    q, k = found.squares["blk.5.attn_q.weight"], found.squares["blk.5.attn_k.weight"]
    assert np.array_equal(q, k)  # both multiply the same normalised stream
    assert len(found.turns) == header.blocks
    assert np.isnan(found.turns[0])
    assert ((found.turns[1:] > 0) & (found.turns[1:] < 1)).all()


def test_each_expert_of_a_mixture_has_an_importance_of_its_own(tmp_path: Path):
    folder = Path(__file__).parents[1] / "convert" / "reference" / "deepseek_v2"
    model = converted(folder, tmp_path / "mixture.gguf", "f32")
    text = TEXTS / "calibration.txt"
    found = activations(model, text, memory_budget_mib=ROOMY_MIB, threads=2).squares
    experts = {name: each for name, each in found.items() if "_exps" in name}
    assert experts
    for values in experts.values():
        assert values.ndim == 2
        assert (values.sum(axis=1) > 0).all()
        assert not np.allclose(values[0], values[1])


def test_packing_heeds_the_importance(tiny_qwen2: Path, tmp_path: Path):
    text = TEXTS / "calibration.txt"
    found = activations(tiny_qwen2, text, memory_budget_mib=ROOMY_MIB, threads=2).squares
    wish = ConversionRequest(
        tiny_qwen2, tmp_path / "heeded.gguf", precision_named("q4_0"), ROOMY_MIB
    )
    plain = convert(replace(wish, output=tmp_path / "plain.gguf"))
    heeded = convert(replace(wish, importance=found))
    assert heeded.kinds == plain.kinds
    assert "Q4_0" in heeded.kinds
    assert heeded.path.read_bytes() != plain.path.read_bytes()
