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


def logits(weights: dict[str, np.ndarray], tokens: list[int]) -> np.ndarray:
    """The last row of GPT-2's forward pass (Radford et al. 2019), written out with numpy."""
    w = {name: values.astype(np.float64) for name, values in weights.items()}

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        return (
            centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * w[f"{name}/g"]
            + w[f"{name}/b"]
        )

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ w[f"{name}/w"].T + w[f"{name}/b"]

    x = w["model/wte"][tokens] + w["model/wpe"][: len(tokens)]
    count, width = x.shape
    hidden = np.triu(np.full((count, count), -np.inf), 1)
    for block in range(sum(name.endswith("ln_1/g") for name in w)):
        h = f"model/h{block}"
        q, k, v = (
            part.reshape(count, HEADS, -1).swapaxes(0, 1)
            for part in np.split(linear(norm(x, f"{h}/ln_1"), f"{h}/attn/c_attn"), 3, axis=-1)
        )
        scores = q @ k.swapaxes(1, 2) / np.sqrt(width // HEADS) + hidden
        share = np.exp(scores - scores.max(-1, keepdims=True))
        share /= share.sum(-1, keepdims=True)
        x = x + linear((share @ v).swapaxes(0, 1).reshape(count, width), f"{h}/attn/c_proj")
        y = linear(norm(x, f"{h}/ln_2"), f"{h}/mlp/c_fc")
        y = 0.5 * y * (1 + np.tanh(np.sqrt(2 / np.pi) * (y + 0.044715 * y**3)))
        x = x + linear(y, f"{h}/mlp/c_proj")
    return norm(x[-1], "model/ln_f") @ w["model/wte"].T


@CASES
def test_the_tokens_are_those_of_transformers(model: LegacyModel, case) -> None:
    cells, generated = list(case["prompt"]), []
    model.compute(cells, 0, threads=1)
    while len(generated) < len(case["tokens"]):
        generated.append(model.sample(GREEDY, cells, seed=1))
        model.compute(generated[-1:], len(cells), threads=1)
        cells.append(generated[-1])
    assert generated == case["tokens"]


@CASES
def test_each_of_them_is_the_likeliest_by_the_papers_own_formulas(weights, case) -> None:
    for length in range(len(case["tokens"])):
        text = case["prompt"] + case["tokens"][:length]
        assert int(logits(weights, text).argmax()) == case["tokens"][length]
