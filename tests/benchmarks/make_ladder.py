"""Make a file of DeepSeek-R1's shape in another precision than Q4_K_M: random blocks of its types.

    .venv/bin/python tests/benchmarks/make_ladder.py Q3_K_S r1-7b.gguf --size 7b

The precisions are Q3_K_M, Q3_K_S and IQ3_XXS, with the types that llama.cpp
gives their tensors, but for those of the first layers.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFWriter

sys.path[:0] = [str(Path(__file__).parents[1])]

from support.real_models import TOOL

# Bytes of a block of 256 weights, where its f16 scale lies, and a scale for weights of about 0.02.
_BLOCKS = {
    Kind.Q3_K: (110, 108, 0.02 / 64),
    Kind.Q4_K: (144, 0, 0.02 / 256),
    Kind.Q5_K: (176, 0, 0.02 / 512),
    Kind.Q6_K: (210, 208, 0.02 / 2048),
    Kind.IQ3_XXS: (98, 0, 0.02 / 64),
}
# The first part of a tensor's name that fits says its type.
_KINDS = {
    "Q3_K_S": {"attn_output": Kind.Q3_K, "output": Kind.Q6_K, "": Kind.Q3_K},
    "Q3_K_M": {
        "attn_output": Kind.Q4_K,
        "output": Kind.Q6_K,
        "attn_v": Kind.Q4_K,
        "ffn_down": Kind.Q4_K,
        "": Kind.Q3_K,
    },
    "IQ3_XXS": {
        "attn_output": Kind.IQ3_XXS,
        "output": Kind.Q5_K,
        "token_embd": Kind.Q3_K,
        "attn_v": Kind.Q4_K,
        "ffn_down": Kind.Q3_K,
        "": Kind.IQ3_XXS,
    },
}
_random = np.random.default_rng(0)


class LadderWriter(GGUFWriter):
    """Gives the tool's quantised tensors the types of the precision."""

    precision = ""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._taken: list[tuple[Kind, int, int] | None] = []  # for each tensor: type, rows, bytes

    def add_tensor_info(
        self, name: str, shape: Any, dtype: Any, nbytes: int, raw_dtype: Kind | None = None
    ) -> None:
        if raw_dtype is None:
            self._taken.append(None)
        else:
            blocks = nbytes // _BLOCKS[raw_dtype][0]
            raw_dtype = next(kind for part, kind in _KINDS[self.precision].items() if part in name)
            nbytes = blocks * _BLOCKS[raw_dtype][0]
            shape = (shape[0], nbytes // shape[0])
            self._taken.append((raw_dtype, *shape))
        super().add_tensor_info(name, shape, dtype, nbytes, raw_dtype=raw_dtype)

    def write_tensor_data(self, tensor: Any, *given: Any) -> None:
        if (taken := self._taken.pop(0)) is not None:
            kind, rows, nbytes = taken
            size, place, scale = _BLOCKS[kind]
            blocks = _random.integers(0, 256, size=(rows * nbytes // size, size), dtype=np.uint8)
            blocks[:, place : place + 2] = np.frombuffer(np.float16(scale).tobytes(), np.uint8)
            tensor = blocks.reshape(rows, nbytes)
        super().write_tensor_data(tensor, *given)


def main() -> None:
    """Runs the tool with another writer."""
    LadderWriter.precision = sys.argv.pop(1)
    tool = runpy.run_path(str(TOOL))["main"]
    tool.__globals__["GGUFWriter"] = LadderWriter
    tool()


if __name__ == "__main__":
    main()
