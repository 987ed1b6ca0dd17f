"""How each weight is stored: what a precision asks for, and what a weight's shape allows.

Matrices are stored as the precision says. Vectors (norms, biases), the router of a mixture of
experts and whatever the engine reads as plain numbers stay as they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from deepseek_r1.convert.tensors import SourceTensor
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.words import tr
from deepseek_r1.engine.llama.quantise import PACKED
from deepseek_r1.formats.ggml_types import F32, FILE_TYPES, TYPES_BY_NAME, TensorType

_ALIASES: Final = {"INT8": "Q8_0", "FP16": "F16", "FP32": "F32", "MIXED": "MIXED"}
_PLAIN: Final = ("F32", "F16", "BF16")
_MIXES: Final = {"Q4_K_M": "Q4_K", "Q5_K_M": "Q5_K"}
_COARSE_BITS: Final = 4.0  # types below keep the embeddings and the output at Q6_K
_BLOCK: Final = re.compile(r"blk\.(\d+)\.(.+)\.weight")
# For rows that are not whole blocks of 256: the nearest type with blocks of 32, not smaller.
_NARROW: Final = {
    "Q2_K": "Q4_0", "Q3_K": "Q4_0", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0",
    "IQ1_S": "IQ4_NL", "IQ1_M": "IQ4_NL", "IQ2_XXS": "IQ4_NL", "IQ2_XS": "IQ4_NL",
    "IQ2_S": "IQ4_NL", "IQ3_XXS": "IQ4_NL", "IQ3_S": "IQ4_NL", "IQ4_XS": "IQ4_NL",
    "TQ1_0": "Q4_0", "TQ2_0": "Q4_0",
}  # fmt: skip
_KEPT: Final = ("ffn_gate_inp.weight", "ffn_gate_inp_shexp.weight", "rope_freqs.weight")
_BITS_OF_FILE_TYPE: Final = {
    "MIXED": "Q4_K_M",
    "Q3_K": "Q3_K_M",
    "Q4_K": "Q4_K_S",
    "Q5_K": "Q5_K_S",
}


@dataclass(frozen=True, slots=True)
class Precision:
    """A wish: `name` is a type of ggml, or one of the mixtures MIXED, Q4_K_M and Q5_K_M."""

    name: str

    @property
    def file_type(self) -> int:
        """`general.file_type`: by the type that most weights have."""
        wanted = _BITS_OF_FILE_TYPE.get(self.name, self.name)
        return next((number for number, name in FILE_TYPES.items() if name == wanted), 1024)

    def kind_of(self, tensor: SourceTensor, blocks: int) -> TensorType:
        """The type `tensor` of a model with `blocks` blocks is stored in."""
        if not _is_matrix(tensor):
            return F32 if tensor.kind.name in (*_PLAIN, "F64") else tensor.kind
        wanted = self._wanted(tensor.name, blocks)
        return _fitting(wanted, tensor.columns)

    def _wanted(self, name: str, blocks: int) -> str:
        if self.name == "MIXED":
            return _mixed(name, blocks)
        if self.name in _MIXES:
            return _medium(name, blocks, _MIXES[self.name])
        if name in ("token_embd.weight", "output.weight") and _bits(self.name) < _COARSE_BITS:
            return "Q6_K"
        return self.name


def precision_named(wish: str) -> Precision:
    """The precision called `wish`. Raises WrongUsage, naming what there is."""
    name = wish.strip().upper().replace("-", "_")
    name = _ALIASES.get(name, name)
    if name in ("MIXED", *_MIXES, *_PLAIN) or name in PACKED:
        return Precision(name)
    known = ", ".join(names())
    raise WrongUsage(
        detail=tr(
            "There is no precision “{wish}”. Known are: {known}.", wish=wish[:40], known=known
        )
    )


def names() -> list[str]:
    """All precisions, as the command line spells them."""
    types = sorted(name for name in TYPES_BY_NAME if name in PACKED)
    return [each.lower() for each in ("f32", "f16", "bf16", "int8", "mixed", *_MIXES, *types)]


def _is_matrix(tensor: SourceTensor) -> bool:
    vector = all(size == 1 for size in tensor.shape[1:])
    return (
        not vector
        and tensor.name.endswith(".weight")
        and not tensor.name.endswith(_KEPT)
        and "norm" not in tensor.name
        and (tensor.kind.name in _PLAIN or tensor.kind.multiplies)
        and not tensor.name.endswith("tid2eid.weight")
    )


def _mixed(name: str, blocks: int) -> str:
    """Attention, embeddings, output and the first and last eighth of the blocks kept higher."""
    if name in ("token_embd.weight", "output.weight"):
        return "Q8_0"
    found = _BLOCK.fullmatch(name)
    if found is None:
        return "Q8_0"
    if found[2].startswith("attn"):
        return "Q8_0"
    edge = max(1, blocks // 8)
    return "Q6_K" if not edge <= int(found[1]) < blocks - edge else "Q4_K"


def _medium(name: str, blocks: int, base: str) -> str:
    """As llama.cpp's M mixtures: V and the way down at Q6_K in half of the blocks, the output too.

    Source: the rule `use_more_bits` of llama.cpp's quantiser.
    """
    if name == "output.weight":
        return "Q6_K"
    found = _BLOCK.fullmatch(name)
    if found is None or not (found[2] == "attn_v" or found[2].startswith("ffn_down")):
        return base
    number, eighth = int(found[1]), blocks // 8
    more = number < eighth or number >= 7 * blocks // 8 or (number - eighth) % 3 == 2
    return "Q6_K" if more else base


def _fitting(name: str, columns: int) -> TensorType:
    """The type called `name`, or the nearest one whose blocks fill rows of `columns`."""
    if columns % TYPES_BY_NAME[name].block:
        name = _NARROW.get(name, "F16")
    if columns % TYPES_BY_NAME[name].block:
        name = "F16"
    return TYPES_BY_NAME[name]


def _bits(name: str) -> float:
    kind = TYPES_BY_NAME[name]
    return 8 * kind.block_bytes / kind.block
