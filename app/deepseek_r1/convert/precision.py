"""Chooses the type of each weight by the requested precision and the weight's shape.

Matrices are stored as the precision says. Vectors (norms, biases), the router of a mixture of
experts and whatever the engine reads as plain numbers stay as they are.
"""

import re
from dataclasses import dataclass
from typing import Final

from deepseek_r1.convert.model_source import SourceTensor
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.i18n import tr
from deepseek_r1.engine.llama.binding.quantise import PACKED
from deepseek_r1.formats.ggml_types import F32, FILE_TYPES, TYPES_BY_NAME, TensorType

_ALIASES: Final = {"INT8": "Q8_0", "FP16": "F16", "FP32": "F32", "MIXED": "MIXED"}
_PLAIN: Final = ("F32", "F16", "BF16")
_MIXES: Final = {"Q4_K_M": "Q4_K", "Q5_K_M": "Q5_K"}
_DRAFT_TABLES: Final = "Q4_0"  # embeddings and output of a draft model: half of a small one
_COARSE_BITS: Final = 4.0  # types below keep the embeddings and the output at Q6_K
_BLOCK: Final = re.compile(r"blk\.(\d+)\.(.+)\.weight")
# For rows that are no multiple of 256: the nearest type with blocks of 32, not smaller.
_NARROW: Final = {
    "Q2_K": "Q4_0", "Q3_K": "Q4_0", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0",
    "IQ1_S": "IQ4_NL", "IQ1_M": "IQ4_NL", "IQ2_XXS": "IQ4_NL", "IQ2_XS": "IQ4_NL",
    "IQ2_S": "IQ4_NL", "IQ3_XXS": "IQ4_NL", "IQ3_S": "IQ4_NL", "IQ4_XS": "IQ4_NL",
    "TQ1_0": "Q4_0", "TQ2_0": "Q4_0",
}  # fmt: skip
_KEPT: Final = ("ffn_gate_inp.weight", "ffn_gate_inp_shexp.weight", "rope_freqs.weight")
_BITS_OF_FILE_TYPE: Final = {
    "MIXED": "Q4_K_M",
    "DRAFT": "Q3_K_S",
    "Q3_K": "Q3_K_M",
    "Q4_K": "Q4_K_S",
    "Q5_K": "Q5_K_S",
}


@dataclass(frozen=True, slots=True)
class Precision:
    """A precision: `name` is a ggml type, or one of MIXED, DRAFT, Q4_K_M and Q5_K_M.

    DRAFT is for the twin of a model that drafts for it: small matters more than good.
    """

    name: str

    @property
    def file_type(self) -> int:
        """The value of `general.file_type`: the type of most weights."""
        wanted = _BITS_OF_FILE_TYPE.get(self.name, self.name)
        return next((number for number, name in FILE_TYPES.items() if name == wanted), 1024)

    def kind_of(self, tensor: SourceTensor, blocks: int) -> TensorType:
        """Returns the type of `tensor` in a model with `blocks` blocks."""
        if not _is_matrix(tensor):
            return F32 if tensor.kind.name in (*_PLAIN, "F64") else tensor.kind
        return _fitting(self._wanted(tensor.name, blocks), tensor.columns)

    def _wanted(self, name: str, blocks: int) -> str:
        if self.name == "MIXED":
            return _mixed(name, blocks)
        if self.name == "DRAFT":
            return _DRAFT_TABLES if name in ("token_embd.weight", "output.weight") else "Q3_K"
        if self.name in _MIXES:
            return _medium(name, blocks, _MIXES[self.name])
        if name in ("token_embd.weight", "output.weight") and _bits(self.name) < _COARSE_BITS:
            return "Q6_K"
        return self.name


def precision_named(request: str) -> Precision:
    """Returns the precision `request`. Raises WrongUsage, which lists the known ones."""
    name = request.strip().upper().replace("-", "_")
    name = _ALIASES.get(name, name)
    if name in ("MIXED", "DRAFT", *_MIXES, *_PLAIN) or name in PACKED:
        return Precision(name)
    detail = tr(
        "There is no precision “{request}”. The known ones are: {known}.",
        request=request[:40],
        known=", ".join(names()),
    )
    raise WrongUsage(detail=detail)


def names() -> list[str]:
    """Returns the names of all precisions, as the command line spells them."""
    kinds = ("F32", "F16", "BF16", "INT8", "MIXED", "DRAFT", *_MIXES, *sorted(PACKED))
    return [each.lower() for each in kinds]


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
    """Returns a higher type for attention, embeddings, output, and the first and last eighth."""
    found = _BLOCK.fullmatch(name)
    if found is None or found[2].startswith("attn"):
        return "Q8_0"
    edge = max(1, blocks // 8)
    return "Q6_K" if not edge <= int(found[1]) < blocks - edge else "Q4_K"


def _medium(name: str, blocks: int, base: str) -> str:
    """Returns the type as in llama.cpp's M mixtures.

    Q6_K for the output, and for V and down in half of the blocks; `base` for the rest.

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
    """Returns the type `name`, or the nearest one whose block size divides `columns`."""
    kinds = [TYPES_BY_NAME[each] for each in (name, _NARROW.get(name, "F16"), "F16")]
    return next(each for each in kinds if not columns % each.block)


def _bits(name: str) -> float:
    kind = TYPES_BY_NAME[name]
    return 8 * kind.block_bytes / kind.block
