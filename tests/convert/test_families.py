"""A converted model computes what `transformers` computes, and reads text as its tokenizer does.

The references are small random models of each family, made by bench/reference. With the path of
an interpreter that has torch and transformers in R1_REFERENCE_PYTHON they are made anew.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from convert.plain_llama import PlainLlama
from deepseek_r1.convert.job import ConversionRequest, convert
from deepseek_r1.convert.precision import precision_named
from deepseek_r1.formats.gguf import read_header
from support.budgets import ROOMY_MIB

HERE = Path(__file__).resolve().parent
FAMILIES = {
    "qwen2": ("qwen2", "deepseek-r1-qwen"),
    "qwen3": ("qwen3", "qwen2"),
    "qwen3moe": ("qwen3moe", "qwen2"),
    "llama": ("llama", "llama-bpe"),
    "deepseek_v2": ("deepseek2", "deepseek-llm"),
    "deepseek_v3": ("deepseek2", "deepseek-v3"),
}
STRINGS = json.loads((HERE / "hard_strings.json").read_text(encoding="utf-8"))

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> Path:
    python = os.environ.get("R1_REFERENCE_PYTHON")
    if not python:
        return HERE / "reference"
    folder = tmp_path_factory.mktemp("reference")
    command = HERE.parents[1] / "bench" / "reference" / "make_families.py"
    subprocess.run([python, str(command), str(folder)], check=True)
    return folder


def converted(folder: Path, target: Path, precision: str = "f32") -> Path:
    convert(ConversionRequest(folder, target, precision_named(precision), ROOMY_MIB, threads=1))
    return target


@pytest.mark.parametrize("family", FAMILIES)
def test_the_logits_are_those_of_transformers(references, tmp_path, family):
    path = converted(references / family, tmp_path / "model.gguf")
    truth = np.load(references / family / "logits.npz")
    with PlainLlama(path) as model:
        found = np.take_along_axis(model.logits(truth["tokens"]), truth["columns"], 1)
    difference = np.abs(found - truth["logits"]).max() / np.abs(truth["logits"]).max()
    assert difference < 1e-4  # measured: 2e-5 and less


@pytest.mark.parametrize("family", FAMILIES)
def test_texts_become_the_tokens_of_the_original(references, tmp_path, family):
    path = converted(references / family, tmp_path / "model.gguf")
    truth = json.loads((references / family / "tokens.json").read_text(encoding="utf-8"))
    with PlainLlama(path) as model:
        found = [model.tokens(text) for text in STRINGS]
    wrong = {
        STRINGS[n]: (a, b) for n, (a, b) in enumerate(zip(found, truth, strict=True)) if a != b
    }
    assert not wrong


@pytest.mark.parametrize("family", FAMILIES)
def test_the_header_says_what_the_model_is(references: Path, tmp_path: Path, family: str) -> None:
    header = read_header(converted(references / family, tmp_path / "model.gguf", "int8"))
    assert (header.architecture, header.tokenizer_pre) == FAMILIES[family]
    assert header.quantisation == "Q8_0"
    assert header.metadata["general.quantization_version"] == 2
    assert header.metadata["r1desk.source.name"] == family
    assert header.template


def test_both_spellings_of_yarns_attention_factor_mean_the_same(folder, tmp_path):
    """DeepSeek-R1-0528-Qwen3-8B has the second, 1 / (1 + 0.1 ln 4)."""
    found = []
    for spelling in ({"attention_factor": 1.0}, {"attn_factor": 0.8782488562869419}):
        config = json.loads((folder / "config.json").read_text())
        config["rope_parameters"] = None
        config["rope_theta"] = 1_000_000
        config["rope_scaling"] = {"rope_type": "yarn", "factor": 4.0} | spelling
        config["rope_scaling"]["original_max_position_embeddings"] = 32768
        (folder / "config.json").write_text(json.dumps(config))
        header = read_header(converted(folder, tmp_path / f"{len(found)}.gguf"))
        found.append(header.metadata["qwen2.rope.scaling.attn_factor"])
        assert header.metadata["qwen2.rope.freq_base"] == 1_000_000
    assert found[0] == pytest.approx(found[1], rel=1e-6)
