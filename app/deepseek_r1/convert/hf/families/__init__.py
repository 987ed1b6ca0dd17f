"""The supported model families by the architecture in config.json."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple

from deepseek_r1.convert.errors import FamilyUnknown
from deepseek_r1.convert.hf.config import Config
from deepseek_r1.convert.hf.families.deepseek import deepseek
from deepseek_r1.convert.hf.families.dense import dense
from deepseek_r1.convert.hf.families.description import ModelDescription
from deepseek_r1.convert.hf.tensor_files import Weights


class Family(NamedTuple):
    """A family: its description, and the only values of some keys that the engine computes."""

    describe: Callable[[Config, Weights], ModelDescription]
    required: Mapping[str, object]


_QWEN: Final = {"use_sliding_window": False}
FAMILIES: Final = {
    "LlamaForCausalLM": Family(  # Llama 2, 3 and similar models
        partial(dense, architecture="llama", interleaved=True), {}
    ),
    "Qwen2ForCausalLM": Family(  # and Qwen2.5, which includes most of R1's distilled models
        partial(dense, architecture="qwen2"), _QWEN
    ),
    "Qwen3ForCausalLM": Family(partial(dense, architecture="qwen3"), _QWEN),
    "Qwen3MoeForCausalLM": Family(
        partial(dense, architecture="qwen3moe", mixture=True),
        {**_QWEN, "norm_topk_prob": True, "mlp_only_layers": [], "decoder_sparse_step": 1},
    ),
    "DeepseekV2ForCausalLM": Family(  # V2-Lite and similar models
        partial(deepseek, sigmoid=False), {"scoring_func": "softmax", "norm_topk_prob": False}
    ),
    "DeepseekV3ForCausalLM": Family(  # V3, R1 and smaller models of that architecture
        partial(deepseek, sigmoid=True),
        {"scoring_func": "sigmoid", "topk_method": "noaux_tc", "rope_interleave": True},
    ),
}


def describe(config: Config, weights: Weights) -> ModelDescription:
    """Returns the description by the family. Raises FamilyUnknown and the family's errors."""
    name = config.first_text("architectures")
    if name not in FAMILIES:
        known = ", ".join(each.removesuffix("ForCausalLM") for each in FAMILIES)
        shown = "".join(c for c in name[:60] if c.isprintable())
        raise FamilyUnknown(architecture=shown or "?", known=known)
    plain = name.removesuffix("ForCausalLM").lower()  # "qwen3moe" is spelt "qwen3_moe"
    spelt = plain.replace("moe", "_moe").replace("deepseekv", "deepseek_v")
    config.require("model_type", plain, spelt)
    for key, value in FAMILIES[name].required.items():
        config.require(key, value)
    return FAMILIES[name].describe(config, weights)
