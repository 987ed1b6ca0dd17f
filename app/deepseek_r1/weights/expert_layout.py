"""The experts of a mixture in its file: each is a slice of every one of its layer's tensors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from deepseek_r1.formats.gguf import ModelHeader, TensorInfo
from deepseek_r1.hardware.storage import PAGE, page_up

_NAME = re.compile(r"blk\.(\d+)\.ffn_(?:gate|up|down|gate_up)_exps\.weight")


@dataclass(frozen=True, slots=True)
class ExpertLayer:
    """The tensors of one layer that hold a slice of equal size for each expert."""

    tensors: tuple[TensorInfo, ...]
    experts: int
    used: int  # experts that one token uses

    @property
    def expert_bytes(self) -> int:
        """Memory of one expert, with the pages at the ends of its slices."""
        return sum(page_up(each.nbytes // self.experts) + PAGE for each in self.tensors)

    @property
    def nbytes(self) -> int:
        """Memory of all experts of the layer."""
        return self.expert_bytes * self.experts


def expert_layers(header: ModelHeader) -> tuple[ExpertLayer, ...]:
    """The layers whose experts can be read one by one, in the order of the computation."""
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
    """The number of experts that one token uses; the largest of any layer."""
    value = header.metadata.get(f"{header.architecture}.expert_used_count", 0)
    counts = value if isinstance(value, tuple) else (value,)
    return max((each for each in counts if isinstance(each, int)), default=0)


def least_cache_bytes(layers: Sequence[ExpertLayer]) -> int:
    """The smallest cache: it holds the experts that one token uses in any layer."""
    return max((layer.used * layer.expert_bytes for layer in layers), default=0)


def cache_bytes(layers: Sequence[ExpertLayer], most: int, spare: int) -> int:
    """The size of the cache: one whole layer as far as `most` allows, or all `spare` bytes."""
    largest = max((each.nbytes for each in layers), default=0)
    wanted = max(min(largest, most), spare)
    return min(wanted, sum(each.nbytes for each in layers))


def edge_bytes(layers: Sequence[ExpertLayer]) -> int:
    """The pages that expert tensors share with their neighbours in the file; they stay resident."""
    return sum(2 * PAGE * len(layer.tensors) for layer in layers)


def tokens_at_once(layers: Sequence[ExpertLayer], cache_bytes: int) -> int:
    """The largest batch whose experts always fit into the cache; 0 where a whole layer fits."""
    if all(layer.nbytes <= cache_bytes for layer in layers):
        return 0
    return min(cache_bytes // (layer.used * layer.expert_bytes) for layer in layers)


def expert_reads(layers: Sequence[ExpertLayer], cache_bytes: int) -> int:
    """Bytes of experts read for each token if routing were uniform."""
    whole = sum(layer.nbytes for layer in layers)
    needed = sum(layer.used * layer.expert_bytes for layer in layers)
    return round(needed * max(0.0, 1 - cache_bytes / whole)) if whole else 0
