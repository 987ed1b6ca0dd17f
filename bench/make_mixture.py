"""Make a mixture of a published model's shape that follows recorded routes; all else is random.

    .venv/bin/python bench/make_mixture.py ling-3.0-tiny OUT.gguf --vocabulary ANY.gguf
    .venv/bin/python bench/make_mixture.py smallthinker-4b OUT.gguf --vocabulary ANY.gguf

Token n stands for token n mod 128 of Qwen3-30B's recorded routes: its embedding is one of 128
orthogonal vectors, other weights add little to it, and each router answers the vector with the
recorded experts. The output answers it with the next token, so greedy text walks through the
routes. Ling's 24 layers have the first 24's six experts, and two of those of the other 24 layers,
as the router of the model names eight; SmallThinker's 32 have four of those numbers modulo 32.
Ling's grouping of experts is left out: it would change the routes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "app"), str(ROOT / "tests")]

from support.routes import recorded

STEPS, WIDTH = 128, 1536  # tokens of the routes; values of an embedding, of both models
_BLOCK_BYTES = {Kind.Q4_K: 144, Kind.Q6_K: 210}
_random = np.random.default_rng(1)
Tensor = tuple[str, tuple[int, ...], Kind, np.ndarray | None]


def _half(value: float) -> np.ndarray:
    return np.frombuffer(np.float16(value).tobytes(), np.uint8)


def _hadamard(order: int) -> np.ndarray:
    rows = np.ones((1, 1), np.int8)
    while len(rows) < order:
        rows = np.block([[rows, rows], [rows, -rows]])
    return rows


SIGNS = np.tile(_hadamard(512)[1 : STEPS + 1], 3)  # the vectors, of ones and minus ones


def _random_rows(shape: tuple[int, ...], kind: Kind) -> np.ndarray:
    """Quantised values of about 0.001, which leave the sum of layers as it was."""
    blocks = int(np.prod(shape)) // 256
    raw = _random.integers(0, 256, (blocks, _BLOCK_BYTES[kind]), dtype=np.uint8)
    if kind is Kind.Q4_K:
        raw[:, 0:2], raw[:, 2:4] = _half(0.001 / 256), _half(0.001 / 64)
    else:
        raw[:, 208:210] = _half(0.001 / 2048)
    return raw.reshape(*shape[:-1], -1)


def _embeddings(rows: int) -> np.ndarray:
    """A row of Q4_K for each token: the vector of its number."""
    blocks = np.zeros((STEPS, WIDTH // 256, 144), np.uint8)
    blocks[..., 0:2], blocks[..., 2:4] = _half(2 / 15), _half(1.0)
    blocks[..., 4:12], blocks[..., 12:16] = 1, 0x11  # all scales and minima are 1
    quants = np.where(SIGNS > 0, 15, 0).astype(np.uint8).reshape(STEPS, -1, 4, 2, 32)
    blocks[..., 16:] = (quants[..., 0, :] | quants[..., 1, :] << 4).reshape(STEPS, -1, 128)
    return blocks.reshape(STEPS, -1)[np.arange(rows) % STEPS]


def _outputs(rows: int, first: int) -> np.ndarray:
    """A row of Q6_K for each token: the vector of the one before it, for 128 tokens."""
    blocks = np.zeros((rows, WIDTH // 256, 210), np.uint8)
    blocks[:, :, 192:208], blocks[:, :, 208:] = 1, _half(1 / 16)
    blocks[:, :, 128:192] = 0b10101010  # the upper two bits of 32, which stands for 0
    values = np.where(np.roll(SIGNS, 1, axis=0) > 0, 48, 16).astype(np.uint8)
    quants = values.reshape(STEPS, -1, 2, 4, 32)
    low = quants & 15
    lower = np.stack(
        [low[..., 0, :] | low[..., 2, :] << 4, low[..., 1, :] | low[..., 3, :] << 4], -2
    )
    high = quants >> 4
    upper = high[..., 0, :] | high[..., 1, :] << 2 | high[..., 2, :] << 4 | high[..., 3, :] << 6
    blocks[first : first + STEPS, :, :128] = lower.reshape(STEPS, -1, 128)
    blocks[first : first + STEPS, :, 128:192] = upper.reshape(STEPS, -1, 64)
    return blocks.reshape(rows, -1)


def _router(experts: int, chosen: np.ndarray) -> np.ndarray:
    """The matrix that answers each vector with these experts, the first one most."""
    wanted = np.zeros((experts, STEPS), np.float32)
    for step, those in enumerate(chosen):
        wanted[those, step] = 4.0 - 0.1 * np.arange(len(those))
    return wanted @ SIGNS.astype(np.float32) / WIDTH


def _distinct(numbers: np.ndarray, count: int, experts: int) -> np.ndarray:
    """The first so many distinct ones of each row; where there are too few, the next numbers."""
    rows = []
    for row in numbers.tolist():
        found = list(dict.fromkeys([*row, *((row[0] + n) % experts for n in range(experts))]))
        rows.append(found[:count])
    return np.array(rows)


def _matrices(block: str, **shapes: tuple[int, ...]) -> list[Tensor]:
    return [(f"{block}{name}.weight", shape, Kind.Q4_K, None) for name, shape in shapes.items()]


def _ones(name: str, *shape: int) -> Tensor:
    return name, shape, Kind.F32, np.ones(shape, np.float32)


def _experts(block: str, layer: int, layers: int, experts: int, width: int) -> list[Tensor]:
    more = layer < layers // 8 or layer >= 7 * layers // 8 or layer % 3 == 2
    down = (
        f"{block}ffn_down_exps.weight",
        (experts, WIDTH, width),
        Kind.Q6_K if more else Kind.Q4_K,
    )
    gate_up = {f"ffn_{kind}_exps": (experts, width, WIDTH) for kind in ("gate", "up")}
    return [*_matrices(block, **gate_up), (*down, None)]


def smallthinker() -> tuple[dict[str, object], int, list[Tensor]]:
    """SmallThinker-4B-A0.6B: keys, vocabulary, tensors of the layers."""
    layers, experts = 32, 32
    routes, tensors = recorded("qwen") % experts, list[Tensor]()
    for layer in range(layers):
        block = f"blk.{layer}."
        tensors += [
            _ones(block + "attn_norm.weight", WIDTH),
            _ones(block + "ffn_norm.weight", WIDTH),
        ]
        tensors += _matrices(
            block, attn_q=(1536, WIDTH), attn_k=(256, WIDTH), attn_v=(256, WIDTH),
            attn_output=(WIDTH, 1536),
        )  # fmt: skip
        router = _router(experts, _distinct(routes[:, layer], 4, experts))
        tensors.append((block + "ffn_gate_inp.weight", router.shape, Kind.F32, router))
        tensors += _experts(block, 3, 16, experts, 768)  # Q4_K throughout, as in Q4_K_S
    keys = {
        "block_count": layers, "embedding_length": WIDTH, "feed_forward_length": 768,
        "attention.head_count": 12, "attention.head_count_kv": 2, "attention.key_length": 128,
        "attention.value_length": 128, "rope.dimension_count": 128, "rope.freq_base": 1.5e6,
        "expert_count": experts, "expert_used_count": 4, "expert_feed_forward_length": 768,
        "expert_gating_func": 2, "context_length": 32768,
    }  # fmt: skip
    return keys, 151_936, tensors


def ling() -> tuple[dict[str, object], int, list[Tensor]]:
    """Ling-3.0-tiny: keys, vocabulary, tensors of the layers."""
    layers, experts, inner, latent = 24, 128, 2048, 512
    routes, tensors = recorded("qwen"), list[Tensor]()
    full = [int(layer % 4 == 3) for layer in range(layers)]
    for layer in range(layers):
        block = f"blk.{layer}."
        tensors += [
            _ones(block + "attn_norm.weight", WIDTH),
            _ones(block + "ffn_norm.weight", WIDTH),
        ]
        if full[layer]:
            tensors += _matrices(
                block, attn_q_a=(256, WIDTH), attn_q_b=(16 * 192, 256),
                attn_kv_a_mqa=(latent + 64, WIDTH),
            )  # fmt: skip
            tensors += [_ones(block + "attn_q_a_norm.weight", 256)]
            tensors += [_ones(block + "attn_kv_a_norm.weight", latent)]
            small = _random.standard_normal((16, latent, 128)).astype(np.float32) * 0.001
            for name, data in (
                ("attn_k_b", small), ("attn_v_b", small.transpose(0, 2, 1).copy()),
                ("attn_gate", np.zeros((16, WIDTH), np.float32)),
            ):  # fmt: skip
                quantised = gguf.quants.quantize(data, Kind.Q8_0)
                tensors.append((f"{block}{name}.weight", data.shape, Kind.Q8_0, quantised))
        else:
            names = ("attn_q", "attn_k", "attn_v", "ssm_f_a", "ssm_g_a")
            tensors += _matrices(block, **dict.fromkeys(names, (inner, WIDTH)))
            tensors += [
                _ones(f"{block}ssm_conv1d_{which}.weight", 1, inner, 1, 4) for which in "qkv"
            ]
            tensors += [
                _ones(block + "ssm_beta.weight", 16, WIDTH),
                _ones(block + "ssm_dt.bias", inner),
            ]
            tensors += [_ones(block + "ssm_a", 16, 1), _ones(block + "ssm_norm.weight", 128)]
        tensors += _matrices(block, attn_output=(WIDTH, inner))
        if layer == 0:
            tensors += _matrices(
                block, ffn_gate=(4608, WIDTH), ffn_up=(4608, WIDTH), ffn_down=(WIDTH, 4608)
            )
            continue
        more = np.concatenate([routes[:, layer], routes[:, layer + layers]], axis=1)
        router = _router(experts, _distinct(more, 8, experts))
        tensors.append((block + "ffn_gate_inp.weight", router.shape, Kind.F32, router))
        bias = np.zeros(experts, np.float32)
        tensors.append((block + "exp_probs_b.bias", bias.shape, Kind.F32, bias))
        tensors += _experts(block, layer, layers, experts, 512)
        tensors += _matrices(
            block, ffn_gate_shexp=(512, WIDTH), ffn_up_shexp=(512, WIDTH),
            ffn_down_shexp=(WIDTH, 512),
        )  # fmt: skip
    keys = {
        "block_count": layers, "embedding_length": WIDTH, "feed_forward_length": 4608,
        "attention.head_count": 16, "attention.head_count_kv": full,
        "attention.key_length": latent + 64, "attention.value_length": latent,
        "attention.key_length_mla": 192, "attention.value_length_mla": 128,
        "attention.q_lora_rank": 256, "attention.kv_lora_rank": latent,
        "rope.dimension_count": 64, "rope.freq_base": 1e4, "ssm.conv_kernel": 4,
        "kda.head_dim": 128, "kda.safe_gate": True, "kda.gate_lower_bound": -5.0,
        "expert_count": experts, "expert_used_count": 8, "expert_feed_forward_length": 512,
        "expert_shared_count": 1, "expert_shared_feed_forward_length": 512,
        "leading_dense_block_count": 1, "expert_gating_func": 2, "expert_weights_norm": True,
        "expert_weights_scale": 2.5, "context_length": 262_144,
    }  # fmt: skip
    return keys, 157_184, tensors


MODELS = {"ling-3.0-tiny": ("bailingmoe3", ling), "smallthinker-4b": ("smallthinker", smallthinker)}
FIRST = 8 * STEPS  # the tokens that greedy text consists of: ordinary words


def _copy_vocabulary(writer: gguf.GGUFWriter, source: Path, rows: int) -> None:
    for name, field in gguf.GGUFReader(source).fields.items():
        if not name.startswith("tokenizer."):
            continue
        value, more = field.contents(), range(rows)
        if name == "tokenizer.ggml.tokens":
            writer.add_token_list([*value, *(f"[more{n}]" for n in more[len(value) :])])
        elif name == "tokenizer.ggml.token_type":
            writer.add_token_types([*value, *(5 for _ in more[len(value) :])])
        elif field.types[0] == gguf.GGUFValueType.ARRAY:
            writer.add_array(name, value)
        else:
            writer.add_key_value(name, value, field.types[0])


def make(model: str, path: Path, vocabulary: Path) -> None:
    """Write the file."""
    architecture, shape = MODELS[model]
    keys, rows, tensors = shape()
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(f"{model} made")
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(rows)
    for key, value in keys.items():
        name = f"{architecture}.{key}"
        if isinstance(value, bool):
            writer.add_bool(name, value)
        elif isinstance(value, list):
            writer.add_array(name, value)
        elif isinstance(value, float):
            writer.add_float32(name, value)
        else:
            writer.add_uint32(name, value)
    _copy_vocabulary(writer, vocabulary, rows)
    tensors = [
        ("token_embd.weight", (rows, WIDTH), Kind.Q4_K, _embeddings(rows)),
        ("output.weight", (rows, WIDTH), Kind.Q6_K, _outputs(rows, FIRST)),
        _ones("output_norm.weight", WIDTH),
        *tensors,
    ]
    for name, size, kind, _data in tensors:
        if kind is Kind.F32:
            writer.add_tensor_info(name, size, np.dtype(np.float32), int(np.prod(size)) * 4)
            continue
        values, nbytes = gguf.GGML_QUANT_SIZES[kind]
        row = size[-1] // values * nbytes
        total = int(np.prod(size[:-1])) * row
        writer.add_tensor_info(name, (*size[:-1], row), np.dtype(np.uint8), total, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for _name, size, kind, data in tensors:
        writer.write_tensor_data(_random_rows(size, kind) if data is None else data)
    writer.close()


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("path", type=Path)
    parser.add_argument("--vocabulary", type=Path, required=True)
    given = parser.parse_args()
    make(given.model, given.path, given.vocabulary)


if __name__ == "__main__":
    main()
