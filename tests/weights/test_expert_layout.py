"""The experts of a mixture in its file, and the sizes of their cache."""

from __future__ import annotations

from pathlib import Path

from deepseek_r1.formats.gguf import read_header
from deepseek_r1.hardware.storage import PAGE
from deepseek_r1.weights.expert_layout import (
    cache_bytes,
    expert_layers,
    expert_reads,
    least_cache_bytes,
    tokens_at_once,
)
from deepseek_r1.weights.residency import MIB, least_weights_mib, plan_residency
from support.gguf_files import tiny_qwen2
from support.mixtures import EXPERTS, tiny_qwen3moe


def test_a_dense_model_has_no_expert_layers(tmp_path: Path) -> None:
    assert expert_layers(read_header(tiny_qwen2(tmp_path / "dense.gguf"))) == ()


def test_every_layer_of_a_mixture_holds_all_experts(tmp_path: Path) -> None:
    header = read_header(tiny_qwen3moe(tmp_path / "model.gguf"))
    layers = expert_layers(header)
    assert len(layers) == header.blocks
    for layer in layers:
        assert layer.experts == EXPERTS
        assert layer.nbytes >= sum(each.nbytes for each in layer.tensors)


def test_the_cache_holds_a_whole_layer_where_memory_allows_it(tmp_path: Path) -> None:
    layers = expert_layers(read_header(tiny_qwen3moe(tmp_path / "model.gguf")))
    largest, whole = max(each.nbytes for each in layers), sum(each.nbytes for each in layers)
    least = least_cache_bytes(layers)
    assert 0 < least < largest < whole
    assert cache_bytes(layers, most=least, spare=0) == least
    assert cache_bytes(layers, most=whole, spare=0) == largest
    assert cache_bytes(layers, most=whole, spare=10 * whole) == whole
    assert tokens_at_once(layers, largest) == 0
    assert tokens_at_once(layers, least) == 1
    assert expert_reads(layers, whole) == 0


def test_a_cache_smaller_than_a_layer_limits_the_batch(tmp_path: Path) -> None:
    header = read_header(tiny_qwen3moe(tmp_path / "model.gguf"))
    (layer, *_) = expert_layers(header)
    sizes = {}
    for step in range(200):
        plan = plan_residency(header, least_weights_mib(header) + step * PAGE / MIB)
        sizes[plan.tokens_at_once] = plan.experts_bytes
    assert sorted(sizes) == [0, 1, 2, 3]
    for tokens in (1, 2, 3):
        assert tokens * layer.used * layer.expert_bytes <= sizes[tokens] < layer.nbytes
