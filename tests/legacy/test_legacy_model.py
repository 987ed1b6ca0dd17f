"""A GPT-2 in an old GGML file says what `transformers` says for the same weights."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.legacy.legacy_model import LegacyModel, legacy_file
from support.ggml_files import write_gpt2

pytestmark = pytest.mark.integration

HERE = Path(__file__).parent
REFERENCE = json.loads((HERE / "gpt2.json").read_text())  # see bench/reference
HEADS = REFERENCE["heads"]
GREEDY = SamplingSettings(temperature=0.0)
CASES = pytest.mark.parametrize("case", REFERENCE["cases"], ids=lambda case: case["name"])


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    return dict(np.load(HERE / "gpt2.npz"))


@pytest.fixture(scope="module")
def model(weights, tmp_path_factory) -> Iterator[LegacyModel]:
    path = write_gpt2(tmp_path_factory.mktemp("gpt2") / "gpt2.bin", weights, heads=HEADS)
    loaded = LegacyModel(legacy_file(read_header(path), 256), 1.0, lambda _share: True)
    yield loaded
    loaded.close()


@CASES
def test_the_tokens_are_those_of_transformers(model: LegacyModel, case) -> None:
    cells, generated = list(case["prompt"]), []
    model.compute(cells, 0, threads=1)
    while len(generated) < len(case["tokens"]):
        generated.append(model.sample(GREEDY, cells, seed=1))
        model.compute(generated[-1:], len(cells), threads=1)
        cells.append(generated[-1])
    assert generated == case["tokens"]
