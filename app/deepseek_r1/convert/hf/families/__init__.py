"""The supported model families by the architecture in config.json."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from deepseek_r1.convert.errors import FamilyUnknown
from deepseek_r1.convert.hf.config import Config
from deepseek_r1.convert.hf.families import deepseek, dense
from deepseek_r1.convert.hf.families.description import ModelDescription
from deepseek_r1.convert.hf.tensor_files import Weights

Describe = Callable[[Config, Weights], ModelDescription]

FAMILIES: Final[dict[str, Describe]] = {
    "LlamaForCausalLM": dense.llama,
    "Qwen2ForCausalLM": dense.qwen2,
    "Qwen3ForCausalLM": dense.qwen3,
    "Qwen3MoeForCausalLM": dense.qwen3moe,
    "DeepseekV2ForCausalLM": deepseek.deepseek_v2,
    "DeepseekV3ForCausalLM": deepseek.deepseek_v3,
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
    return FAMILIES[name](config, weights)
