"""The experts of a mixture in its file: one is a slice of each of a layer's three tensors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from deepseek_r1.formats.gguf import ModelHeader, TensorInfo
from deepseek_r1.weights.region import PAGE, page_up

_NAME = re.compile(r"blk\.(\d+)\.ffn_(?:gate|up|down|gate_up)_exps\.weight")


@dataclass(frozen=True, slots=True)
class ExpertLayer:
    """The tensors of one layer that hold an equal slice for each of its experts."""

    tensors: tuple[TensorInfo, ...]
    experts: int
    used: int  # experts for one token

    @property
    def expert_bytes(self) -> int:
        """What one expert takes in memory, with the pages at its slices' ends."""
        return sum(page_up(each.nbytes // self.experts) + PAGE for each in self.tensors)

    @property
    def nbytes(self) -> int:
        """All experts of the layer in memory."""
        return self.expert_bytes * self.experts


def expert_layers(header: ModelHeader) -> tuple[ExpertLayer, ...]:
    """The layers whose experts can be told apart, in the order of the computation."""
    used = _experts_used(header)
    if not 0 < used <= header.experts:
        return ()
    layers: dict[int, list[TensorInfo]] = {}
    for each in header.tensors:
        found = _NAME.fullmatch(each.name)
        sliced = len(each.shape) == 3 and each.shape[-1] == header.experts
        if found is not None and sliced and each.nbytes % header.experts == 0:
            layers.setdefault(int(found[1]), []).append(each)
    return tuple(ExpertLayer(tuple(layers[n]), header.experts, used) for n in sorted(layers))


def _experts_used(header: ModelHeader) -> int:
    """How many experts one token needs; the most of any layer."""
    value = header.metadata.get(f"{header.architecture}.expert_used_count", 0)
    counts = value if isinstance(value, tuple) else (value,)
    return max((each for each in counts if isinstance(each, int)), default=0)


def least_cache_bytes(mixture: Sequence[ExpertLayer]) -> int:
    """Room for the experts that one token needs in any layer."""
    return max((layer.used * layer.expert_bytes for layer in mixture), default=0)


def cache_bytes(mixture: Sequence[ExpertLayer], most: int, left: int) -> int:
    """Room for experts: all of one layer's as far as `most` allows, or more where it is `left`."""
    layer = max((each.nbytes for each in mixture), default=0)
    wanted = max(min(layer, most), left)
    return min(wanted, sum(each.nbytes for each in mixture))


def edge_bytes(mixture: Sequence[ExpertLayer]) -> int:
    """The pages that the tensors share with their neighbours in the file: they stay."""
    return sum(2 * PAGE * len(layer.tensors) for layer in mixture)


def tokens_at_once(mixture: Sequence[ExpertLayer], cache_bytes: int) -> int:
    """How many tokens cannot need more experts than fit; 0 where all of a layer's fit."""
    if all(layer.nbytes <= cache_bytes for layer in mixture):
        return 0
    return min(cache_bytes // (layer.used * layer.expert_bytes) for layer in mixture)


def expert_reads(mixture: Sequence[ExpertLayer], cache_bytes: int) -> int:
    """Bytes of experts read for a token if all were equally likely to be needed."""
    whole = sum(layer.nbytes for layer in mixture)
    needed = sum(layer.used * layer.expert_bytes for layer in mixture)
    return round(needed * max(0.0, 1 - cache_bytes / whole)) if whole else 0
