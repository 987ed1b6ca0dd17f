"""The plan of which weights are pinned and which are streamed."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from deepseek_r1.formats.gguf import ModelHeader, read_header
from deepseek_r1.hardware.storage import PAGE
from deepseek_r1.weights.residency import (
    EMBEDDING,
    cache_bytes,
    expert_layers,
    expert_reads,
    least_cache_bytes,
    least_weights_mib,
    plan_residency,
    streamable,
    tokens_at_once,
)
from support.gguf_files import tiny_qwen2
from support.mixtures import EXPERTS, tiny_qwen3moe

MIB = 1 << 20


@pytest.fixture(scope="module")
def header(starter: Path) -> ModelHeader:
    return read_header(starter)


def test_pins_and_slots_stay_within_what_is_given(header: ModelHeader) -> None:
    least = least_weights_mib(header)
    for mib in (least, 45.0, 60.0, 80.0, 120.0):
        plan = plan_residency(header, mib)
        assert plan.pinned_mib + plan.slots_mib <= mib
        assert plan.slots >= 2


def test_a_budget_below_the_least_is_planned_with_the_least(header: ModelHeader) -> None:
    least = least_weights_mib(header)
    plan = plan_residency(header, least - 1.0)
    assert plan == plan_residency(header, least)
    assert (plan.slots, plan.total_mib) == (2, pytest.approx(least))


def test_every_tensor_is_either_pinned_or_streamed(header: ModelHeader) -> None:
    for mib in (45.0, 80.0, 200.0):
        plan = plan_residency(header, mib)
        names = sorted(plan.pinned + plan.streamed)
        assert names == sorted(tensor.name for tensor in header.tensors)


def test_more_memory_never_streams_more(header: ModelHeader) -> None:
    streamed = [plan_residency(header, float(mib)).streamed_mib for mib in range(40, 140, 5)]
    assert streamed[0] > 50.0
    assert streamed[-1] == 0.0
    # A step up may take another slot in exchange for pins: never more than the slots cost.
    assert all(later <= before + 3.0 for before, later in pairwise(streamed))


def test_streamed_bytes_are_spread_evenly_over_the_layers(header: ModelHeader) -> None:
    plan = plan_residency(header, 80.0)
    size = {tensor.name: tensor.nbytes for tensor in header.tensors}
    layers = [0] * header.blocks
    for name in plan.streamed:
        layers[int(name.split(".")[1])] += size[name]
    mean = sum(layers) / len(layers)
    largest = max(size[name] for name in streamable(header))
    assert all(abs(layer - mean) <= largest for layer in layers)


def test_streaming_follows_the_computation(header: ModelHeader) -> None:
    plan = plan_residency(header, least_weights_mib(header))
    blocks = [int(name.split(".")[1]) for name in plan.streamed]
    assert blocks == sorted(blocks)
    first = [name.split(".")[2] for name in plan.streamed if name.startswith("blk.0.")]
    assert first.index("attn_q") < first.index("attn_output") < first.index("ffn_down")


def test_the_embedding_is_on_the_disk_unless_it_is_also_the_output(header, tmp_path):
    assert not header.has_output
    assert EMBEDDING in plan_residency(header, 60.0).pinned
    untied = read_header(tiny_qwen2(tmp_path / "untied.gguf"))
    plan = plan_residency(untied, least_weights_mib(untied))
    assert plan.embedding_on_disk
    assert EMBEDDING not in plan.pinned + plan.streamed


def test_experts_have_a_cache_of_their_own(tmp_path: Path) -> None:
    mixture = read_header(tiny_qwen3moe(tmp_path / "mixture.gguf"))
    least = least_weights_mib(mixture)
    plan = plan_residency(mixture, least)
    assert not any("exps" in name for name in plan.pinned + plan.streamed)
    assert "blk.0.ffn_norm.weight" in plan.pinned
    assert plan.tokens_at_once == 1
    assert plan.pinned_mib + plan.slots_mib + plan.experts_mib <= least


def test_a_mixtures_cache_holds_one_layer_before_other_weights_are_pinned(tmp_path: Path) -> None:
    mixture = read_header(tiny_qwen3moe(tmp_path / "mixture.gguf"))
    layer = max(each.nbytes for each in expert_layers(mixture))
    total = sum(each.nbytes for each in expert_layers(mixture))
    least = least_weights_mib(mixture)
    plans = [plan_residency(mixture, least + step / 100) for step in range(150)]
    for plan in plans:
        streams_some = bool(plan.streamed)
        assert (plan.experts_bytes <= layer) if streams_some else (plan.slots == 0)
        assert (plan.tokens_at_once == 0) == (plan.experts_bytes >= layer)
    sizes = [plan.experts_bytes for plan in plans]
    assert sizes == sorted(sizes)
    assert sizes[-1] == total
    assert plans[-1].streamed_mib == 0.0


def test_slots_of_large_matrices_are_whole_chunks(header: ModelHeader) -> None:
    plan = plan_residency(header, 60.0, chunk_bytes=65_536)
    assert plan.slot_bytes % 65_536 == 0
    assert plan_residency(header, 60.0).slot_bytes >= plan.slot_bytes


def test_slots_are_bought_with_pins_where_much_is_streamed(header: ModelHeader) -> None:
    least = least_weights_mib(header)
    much, little = plan_residency(header, least + 40.0), plan_residency(header, least + 60.0)
    everything = sum(tensor.nbytes for tensor in header.tensors) / MIB
    assert 3 <= little.slots < much.slots
    assert much.slots_mib < everything / 8


def test_small_weights_are_pinned_first(header: ModelHeader) -> None:
    size = {tensor.name: tensor.nbytes for tensor in header.tensors}
    largest = max(size[name] for name in streamable(header))
    matrices = [size[name] for name in streamable(header)]
    header_of_mixed = replace(
        header,
        tensors=tuple(
            replace(each, nbytes=each.nbytes * 5) if each.nbytes == largest else each
            for each in header.tensors
        ),
    )
    plan = plan_residency(header_of_mixed, least_weights_mib(header_of_mixed) + 60.0)
    assert len(set(matrices)) > 1
    assert plan.streamed
    assert all(size[name] == largest for name in plan.streamed)


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
