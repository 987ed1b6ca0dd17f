"""How numbers are stored: every type packs, unpacks, and computes in the engine."""

import json
import shutil
from pathlib import Path

import gguf
import numpy as np
import pytest
from safetensors.numpy import save_file

from convert.conftest import REFERENCE, split_header, weight_bytes, write_safetensors
from convert.plain_llama import PlainLlama
from deepseek_r1.convert.errors import ImportanceNeeded
from deepseek_r1.convert.file_layout import PieceMaker, TensorPlacement
from deepseek_r1.convert.hf.tensor_files import read_tensor_table
from deepseek_r1.convert.model_source import SourceTensor
from deepseek_r1.convert.precision import names, precision_named
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.engine.llama.binding.quantise import PACKED, Quantiser
from deepseek_r1.formats.container import read_container
from deepseek_r1.formats.ggml_types import TYPES_BY_NAME
from deepseek_r1.formats.gguf import read_header

pytestmark = pytest.mark.integration

WIDTH = 256  # whole blocks of every type
NEEDS_IMPORTANCE = {"iq1_s", "iq2_xxs", "iq2_xs"}
COMMON = {"f16", "int8", "q4_0", "q4_k", "q6_k", "iq4_xs"}
TERNARY = {"q2_0", "tq1_0", "tq2_0"}  # for models trained with -1, 0 and 1 only
SLOW = {"IQ1_S", "IQ1_M"}  # ggml prepares tables for ten seconds and more
SLOW_HERE = {"IQ2_S", "IQ2_XS", "IQ2_XXS"}  # and for some seconds for these
LIKENESS = ((8.0, 0.999), (6.0, 0.99), (4.0, 0.9), (3.0, 0.75), (2.0, 0.5), (0.0, 0.1))


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return np.random.default_rng(1).normal(0, 0.05, (7, 512)).astype(np.float32)


@pytest.fixture(scope="module")
def quantiser() -> Quantiser:
    return Quantiser(2)


@pytest.fixture(scope="module")
def wide_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen2 of one block whose rows are whole blocks of every type."""
    folder = tmp_path_factory.mktemp("wide") / "model"
    shutil.copytree(REFERENCE / "qwen2", folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_size": WIDTH, "intermediate_size": 512, "num_hidden_layers": 1}
    (folder / "config.json").write_text(json.dumps(config))
    shapes = {
        "model.embed_tokens.weight": (config["vocab_size"], WIDTH),
        "model.norm.weight": (WIDTH,),
        "model.layers.0.input_layernorm.weight": (WIDTH,),
        "model.layers.0.post_attention_layernorm.weight": (WIDTH,),
        "model.layers.0.self_attn.q_proj.weight": (WIDTH, WIDTH),
        "model.layers.0.self_attn.k_proj.weight": (WIDTH // 2, WIDTH),
        "model.layers.0.self_attn.v_proj.weight": (WIDTH // 2, WIDTH),
        "model.layers.0.self_attn.o_proj.weight": (WIDTH, WIDTH),
        "model.layers.0.mlp.gate_proj.weight": (512, WIDTH),
        "model.layers.0.mlp.up_proj.weight": (512, WIDTH),
        "model.layers.0.mlp.down_proj.weight": (WIDTH, 512),
    }
    rng = np.random.default_rng(2)
    weights = {
        name: np.ones(shape, np.float32)
        if len(shape) == 1
        else rng.normal(0, shape[1] ** -0.5, shape).astype(np.float32)
        for name, shape in shapes.items()
    }
    save_file(weights, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in SLOW_HERE else [])
        for name in sorted(PACKED - SLOW - {"Q1_0", "Q2_0"})  # which that library cannot unpack
    ],
)
def test_what_is_packed_is_unpacked_as_by_the_formats_own_library(rows, quantiser, name):
    kind = TYPES_BY_NAME[name]
    weights = np.ones(rows.shape[1], np.float32) if quantiser.needs_importance(kind) else None
    if name.lower() in TERNARY:
        rows = np.sign(rows)
    packed = quantiser.pack(rows, kind, weights)
    ours = quantiser.unpack(packed, kind, rows.shape[1])
    theirs = gguf.quants.dequantize(packed, gguf.GGMLQuantizationType[name])
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
    assert np.corrcoef(ours.ravel(), rows.ravel())[0, 1] > 0.7


@pytest.mark.parametrize(("name", "bits"), [("Q1_0", 1), ("Q2_0", 2)])
def test_a_value_of_one_or_two_bits_is_a_step_of_its_block(rows, quantiser, name, bits):
    kind = TYPES_BY_NAME[name]
    packed = quantiser.pack(rows, kind)
    blocks = packed.reshape(-1, kind.block_bytes)
    places = np.arange(0, 8, bits, dtype=np.uint8)
    values = (blocks[:, 2:, None] >> places) & (2**bits - 1)
    steps = 2.0 * values - 1 if bits == 1 else values - 1.0  # -1 and 1; -1 to 2
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    expected = steps.reshape(len(blocks), -1) * scale
    unpacked = quantiser.unpack(packed, kind, rows.shape[1])
    np.testing.assert_allclose(unpacked.reshape(expected.shape), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["Q8_0", "Q5_1", "Q4_0"])
def test_packing_gives_the_bytes_of_the_formats_own_library(rows, quantiser, name):
    packed = quantiser.pack(rows, TYPES_BY_NAME[name])
    theirs = gguf.quants.quantize(rows, gguf.GGMLQuantizationType[name])
    assert np.mean(packed == theirs) > 0.999  # ties are rounded to different sides


def test_threads_change_nothing(rows: np.ndarray) -> None:
    kind = TYPES_BY_NAME["Q4_K"]
    tall = np.tile(rows, (9, 1))
    assert (Quantiser(1).pack(tall, kind) == Quantiser(3).pack(tall, kind)).all()


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda r: np.where(r > 0.1, np.nan, r), "Q8_0"),
        (lambda r: np.where(r > 0.1, np.inf, r), "Q4_K"),
        (lambda r: r[:, :100], "Q8_0"),
        (lambda r: r, "IQ2_XXS"),
        (lambda r: r, "I32"),
    ],
    ids=["no number", "infinity", "part of a block", "no importance", "no such packing"],
)
def test_what_would_end_the_process_is_refused(rows, quantiser, change, kind):
    with pytest.raises(ValueError):
        quantiser.pack(change(rows).astype(np.float32), TYPES_BY_NAME[kind])


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in COMMON else [pytest.mark.slow])
        for name in sorted(set(names()) - NEEDS_IMPORTANCE - {"iq1_m"})
    ],
)
def test_the_engine_computes_every_precision(wide_folder: Path, to_gguf, name: str) -> None:
    """Random weights are the hardest case; the loosest types keep only a rough likeness."""
    exact, stored = to_gguf(wide_folder).path, to_gguf(wide_folder, name, "stored.gguf").path
    tokens = list(range(3, 300, 11))
    with PlainLlama(exact) as one, PlainLlama(stored) as other:
        likeness = np.corrcoef(one.logits(tokens).ravel(), other.logits(tokens).ravel())[0, 1]
    kind = TYPES_BY_NAME.get(name.upper(), TYPES_BY_NAME["Q4_K"])
    bits = 8 * kind.block_bytes / kind.block
    least = next(least for most, least in LIKENESS if bits >= most)
    assert likeness > (0.1 if name in TERNARY else least)


def test_the_coarsest_types_need_an_importance(wide_folder: Path, to_gguf, tmp_path: Path) -> None:
    for name in sorted(NEEDS_IMPORTANCE):
        with pytest.raises(ImportanceNeeded):
            to_gguf(wide_folder, name)
    assert not (tmp_path / "out.gguf.part").exists()
    importance = {
        f"blk.0.{part}.weight": np.ones(512 if part == "ffn_down" else WIDTH, np.float32)
        for part in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    }
    with PlainLlama(to_gguf(wide_folder, "iq2_xxs", importance=importance).path) as model:
        assert np.isfinite(model.logits([1, 2, 3])).all()


def test_an_importance_moves_the_error_to_where_it_matters_less(quantiser: Quantiser) -> None:
    rows = np.random.default_rng(3).normal(0, 1, (64, 256)).astype(np.float32)
    weights = np.where(np.arange(256) % 2, 100.0, 0.01).astype(np.float32)
    kind = TYPES_BY_NAME["Q2_K"]

    def error(importance: np.ndarray | None) -> float:
        found = quantiser.unpack(quantiser.pack(rows, kind, importance), kind, 256)
        return float(np.mean((found - rows)[:, 1::2] ** 2))

    assert error(weights) < 0.8 * error(None)


def test_no_piece_lies_across_two_experts_wherever_a_run_goes_on() -> None:
    class Recording(Quantiser):
        def pack(self, rows, kind, weights=None):
            seen.append((len(rows), float(weights[0])))
            return np.zeros(1, np.uint8)

    seen: list[tuple[int, float]] = []
    stack = SourceTensor(
        "blk.0.ffn_up_exps.weight", (32, 6, 2), TYPES_BY_NAME["F32"],
        lambda first, last: np.ones((last - first, 32), np.float32),
    )  # fmt: skip
    importance = {stack.name: np.array([[1.0] * 32, [2.0] * 32], np.float32)}
    maker = PieceMaker(Recording(1), importance, most_numbers=5 * 32)
    for _piece in maker.pieces(TensorPlacement(stack, TYPES_BY_NAME["Q8_0"], 0), first=2):
        pass
    assert seen == [(4, 1.0), (5, 2.0), (1, 2.0)]


def tensor(name: str, *shape: int) -> SourceTensor:
    return SourceTensor(name, shape, TYPES_BY_NAME["F16"], lambda _a, _b: np.zeros(0, np.float32))


@pytest.mark.parametrize(
    ("precision", "name", "shape", "kind"),
    [
        ("int8", "blk.0.ffn_up.weight", (512, 64), "Q8_0"),
        ("int8", "blk.0.attn_norm.weight", (512,), "F32"),
        ("int8", "blk.0.attn_q.bias", (512,), "F32"),
        ("int8", "blk.0.ffn_gate_inp.weight", (512, 8), "F32"),
        ("int8", "blk.0.ffn_up.weight", (48, 64), "F16"),
        ("q4_k", "blk.0.ffn_up.weight", (96, 64), "Q5_0"),
        ("q2_k", "token_embd.weight", (512, 64), "Q6_K"),
        ("q4_k", "token_embd.weight", (512, 64), "Q4_K"),
        ("mixed", "blk.7.ffn_up.weight", (512, 64), "Q4_K"),
        ("mixed", "blk.0.ffn_up.weight", (512, 64), "Q6_K"),
        ("mixed", "blk.15.ffn_up.weight", (512, 64), "Q6_K"),
        ("mixed", "blk.7.attn_v.weight", (512, 64), "Q8_0"),
        ("mixed", "output.weight", (512, 64), "Q8_0"),
        ("q4_k_m", "output.weight", (512, 64), "Q6_K"),
        ("q4_k_m", "blk.0.ffn_down.weight", (512, 64), "Q6_K"),
        ("q4_k_m", "blk.3.ffn_down.weight", (512, 64), "Q4_K"),
        ("q4_k_m", "blk.3.ffn_up.weight", (512, 64), "Q4_K"),
        ("INT8", "blk.0.attn_q.weight", (512, 64), "Q8_0"),
        ("Q4-K", "blk.0.attn_q.weight", (512, 64), "Q4_K"),
    ],
)
def test_each_weight_gets_the_type_of_the_table(precision, name, shape, kind):
    assert precision_named(precision).kind_of(tensor(name, *shape), 16).name == kind


def test_an_unknown_precision_names_the_known() -> None:
    with pytest.raises(WrongUsage, match="int8"):
        precision_named("int9")


def test_a_gguf_is_stored_in_another_precision(shallow_starter: Path, to_gguf) -> None:
    starter = shallow_starter
    finer = to_gguf(starter, "f16").path
    tokens = list(range(100, 160))
    with PlainLlama(starter) as one, PlainLlama(finer) as other:
        ours, theirs = one.logits(tokens), other.logits(tokens)
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.999
    assert read_header(finer).quantisation == "F16"
    assert read_header(finer).tokenizer_pre == read_header(starter).tokenizer_pre


def test_weights_that_keep_their_type_keep_every_bit(starter: Path, to_gguf) -> None:
    path = to_gguf(starter, "q4_1").path
    before, after = read_container(starter), read_container(path)
    moved = {each.name: each for each in after.tensors}
    kept = [each for each in before.tensors if moved[each.name].kind is each.kind]
    assert len(kept) > 200
    old, new = starter.read_bytes(), path.read_bytes()
    for each in kept:
        a, b = each.offset, moved[each.name].offset
        assert old[a : a + each.nbytes] == new[b : b + each.nbytes], each.name


def test_metadata_survives_and_says_where_it_comes_from(starter: Path, to_gguf) -> None:
    before, after = read_header(starter), read_header(to_gguf(starter, "q4_0").path)
    changed = {"general.file_type", "general.quantization_version"}
    for key, value in before.metadata.items():
        assert key in changed or after.metadata[key] == value
    assert after.metadata["r1desk.source.name"] == starter.name
    assert after.metadata["r1desk.precision"] == "q4_0"


def test_a_source_with_few_bits_is_remarked_on(shallow_starter: Path, to_gguf) -> None:
    assert "bits per weight" in to_gguf(shallow_starter, "q4_0").remarks[0]


def test_eight_bit_floats_have_the_values_of_their_definition(tmp_path: Path) -> None:
    raw = {"F8_E4M3": (0x7E, 0x01, 0x08, 0x38, 0xB8), "F8_E5M2": (0x7B, 0x01, 0x04, 0x3C, 0xBC)}
    values = {
        "F8_E4M3": (448.0, 2.0**-9, 2.0**-6, 1.0, -1.0),
        "F8_E5M2": (57344.0, 2.0**-16, 2.0**-14, 1.0, -1.0),
    }
    for dtype, codes in raw.items():
        path = tmp_path / f"{dtype}.safetensors"
        entry = {"dtype": dtype, "shape": [5], "data_offsets": [0, 5]}
        write_safetensors(path, {"a": entry}, bytes(codes))
        (stored,) = read_tensor_table(path)
        assert stored.read_rows(0, 1).tolist() == [list(values[dtype])]


@pytest.mark.parametrize(
    ("theirs", "ours"), [("self_attn.o_proj", "attn_output"), ("input_layernorm", "attn_norm")]
)
def test_deepseeks_eight_bit_blocks_are_scaled(tmp_path, to_gguf, theirs, ours):
    """As DeepSeek-R1 itself is published: E4M3 with a scale for each 128 x 128 numbers."""
    folder = tmp_path / "eight"
    shutil.copytree(REFERENCE / "deepseek_v3", folder)
    write_eight_bit(folder / "model.safetensors", f"model.layers.1.{theirs}.weight", scale=0.25)
    path = to_gguf(folder).path
    found = np.frombuffer(weight_bytes(path, f"blk.1.{ours}.weight"), np.float32)
    assert set(np.unique(np.abs(found))) == {0.25}


def write_eight_bit(path: Path, name: str, scale: float) -> None:
    """Replace one matrix by ones and minus ones in E4M3 with a scale."""
    header, data = split_header(path)
    header.pop("__metadata__", None)
    fresh, packed = {}, b""
    for each, entry in header.items():
        first, last = entry["data_offsets"]
        piece, dtype = data[first:last], entry["dtype"]
        if each == name:
            count = int(np.prod(entry["shape"]))
            piece, dtype = bytes([0x38, 0xB8] * (count // 2)), "F8_E4M3"
        ends = [len(packed), len(packed) + len(piece)]
        fresh[each] = {"dtype": dtype, "shape": entry["shape"], "data_offsets": ends}
        packed += piece
    ends = [len(packed), len(packed) + 4]
    fresh[f"{name}_scale_inv"] = {"dtype": "F32", "shape": [1, 1], "data_offsets": ends}
    write_safetensors(path, fresh, packed + np.float32(scale).tobytes())
