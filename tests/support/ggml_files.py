"""Old model files (GGML, GGJT) as their converters wrote them: random weights, real structure.

Independent of the product's own table of layouts: the order of everything is written out here.
"""

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

WORDS = [
    b" the", b" of", b" and", b" to", b" in", b" is", b"ing", b"er", "é".encode(), " 你".encode(),
]  # fmt: skip
END = b"<|endoftext|>"


def vocabulary(count: int = 280) -> list[bytes]:
    """All bytes, a few words, the word that ends a text, and fillers up to `count`."""
    words = [bytes([byte]) for byte in range(256)] + WORDS + [END]
    return words + [b"filler%d" % number for number in range(count - len(words))]


def text_vocabulary(count: int = 280) -> list[bytes]:
    """The same for families whose words are UTF-8: letters stand for bytes."""
    words = [chr(code).encode() for code in range(256)] + [b"word%d" % n for n in range(24)]
    return words[:count]


def word(text: bytes) -> bytes:
    return struct.pack("<I", len(text)) + text


def tensor(name: str, values: np.ndarray, *, kind: int = 0, align: int = 0, at: int = 0) -> bytes:
    """One tensor: rows first in the shape, as ggml counts. `at`: where in the file it will be."""
    shape = values.shape[::-1]
    data = values.astype("<f2" if kind == 1 else "<f4").tobytes()
    head = struct.pack("<3i", len(shape), len(name), kind)
    head += struct.pack(f"<{len(shape)}i", *shape) + name.encode()
    if align:
        head += bytes(-(at + len(head)) % align)
    return head + data


def write_gpt2(
    path: Path,
    weights: Mapping[str, np.ndarray],
    *,
    heads: int,
    words: Iterable[bytes] | None = None,
) -> Path:
    """A GPT-2 in F32. `weights` by the names of ggml's converter, matrices as (out, in)."""
    vocab, width = weights["model/wte"].shape
    context = weights["model/wpe"].shape[0]
    blocks = sum(name.endswith("ln_1/g") for name in weights)
    out = struct.pack("<4s6i", b"lmgg", vocab, context, width, heads, blocks, 0)
    out += struct.pack("<i", vocab)
    out += b"".join(word(each) for each in words or vocabulary(vocab))
    out += b"".join(tensor(name, values) for name, values in weights.items())
    path.write_bytes(out)
    return path


class _Random:
    def __init__(self, seed: int, scale: float = 0.2) -> None:
        self.generator, self.scale = np.random.default_rng(seed), scale

    def __call__(self, *shape: int) -> np.ndarray:
        return (self.generator.standard_normal(shape) * self.scale).astype(np.float32)


def gpt2_weights(
    *, vocab: int = 280, context: int = 256, width: int = 32, blocks: int = 2, seed: int = 7
) -> dict[str, np.ndarray]:
    """Random weights of a small GPT-2."""
    random, ones = _Random(seed), np.ones(width, np.float32)
    weights = {
        "model/ln_f/g": ones + random(width), "model/ln_f/b": random(width),
        "model/wte": random(vocab, width), "model/wpe": random(context, width),
    }  # fmt: skip
    for block in range(blocks):
        name = f"model/h{block}"
        weights |= {
            f"{name}/ln_1/g": ones + random(width), f"{name}/ln_1/b": random(width),
            f"{name}/ln_2/g": ones + random(width), f"{name}/ln_2/b": random(width),
            f"{name}/attn/c_attn/w": random(3 * width, width),
            f"{name}/attn/c_attn/b": random(3 * width),
            f"{name}/attn/c_proj/w": random(width, width), f"{name}/attn/c_proj/b": random(width),
            f"{name}/mlp/c_fc/w": random(4 * width, width), f"{name}/mlp/c_fc/b": random(4 * width),
            f"{name}/mlp/c_proj/w": random(width, 4 * width),
            f"{name}/mlp/c_proj/b": random(width),
        }  # fmt: skip
    return weights


def tiny_gpt2(
    path: Path, *, seed: int = 7, words: Iterable[bytes] | None = None, **sizes: int
) -> Path:
    """A small GPT-2 at `path`."""
    return write_gpt2(path, gpt2_weights(seed=seed, **sizes), heads=4, words=words)


def tiny_starcoder(path: Path) -> Path:
    """The same form; its vocabulary has the words for filling in the middle."""
    words = vocabulary(280)
    words[270] = b"<fim_prefix>"
    return tiny_gpt2(path, words=words)


def tiny_gptj(path: Path) -> Path:
    """A small GPT-J."""
    random, e, v = _Random(8), 32, 280
    out = struct.pack("<4s7i", b"lmgg", v, 256, e, 4, 2, 8, 0) + struct.pack("<i", v)
    out += b"".join(map(word, vocabulary(v)))
    tensors = {
        "transformer.wte.weight": (v, e), "transformer.ln_f.weight": (e,),
        "transformer.ln_f.bias": (e,), "lm_head.weight": (v, e), "lm_head.bias": (v,),
    }  # fmt: skip
    for i in range(2):
        h = f"transformer.h.{i}"
        tensors |= {f"{h}.ln_1.weight": (e,), f"{h}.ln_1.bias": (e,)}
        tensors |= {f"{h}.attn.{p}_proj.weight": (e, e) for p in ("q", "k", "v", "out")}
        tensors |= {f"{h}.mlp.fc_in.weight": (4 * e, e), f"{h}.mlp.fc_in.bias": (4 * e,)}
        tensors |= {f"{h}.mlp.fc_out.weight": (e, 4 * e), f"{h}.mlp.fc_out.bias": (e,)}
    return _write(path, out, tensors, random)


def tiny_neox(path: Path, *, dolly: bool = False) -> Path:
    """A small GPT-NeoX; with Dolly's words it is one of Dolly's."""
    random, e, v = _Random(9), 32, 280
    words = vocabulary(v)
    if dolly:
        words[270:273] = [b"### End", b"### Instruction:", b"### Response:"]
    out = struct.pack("<4s8i", b"lmgg", v, 256, e, 4, 2, 8, 1, 0) + b"".join(map(word, words))
    tensors = {
        "gpt_neox.embed_in.weight": (v, e), "gpt_neox.final_layer_norm.weight": (e,),
        "gpt_neox.final_layer_norm.bias": (e,), "embed_out.weight": (v, e),
    }  # fmt: skip
    for i in range(2):
        h = f"gpt_neox.layers.{i}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors |= {f"{h}.{norm}.weight": (e,), f"{h}.{norm}.bias": (e,)}
        for part, shape in {
            "attention.query_key_value": (3 * e, e), "attention.dense": (e, e),
            "mlp.dense_h_to_4h": (4 * e, e), "mlp.dense_4h_to_h": (e, 4 * e),
        }.items():  # fmt: skip
            tensors |= {f"{h}.{part}.weight": shape, f"{h}.{part}.bias": shape[:1]}
    return _write(path, out, tensors, random)


def tiny_mpt(path: Path) -> Path:
    """A small MPT."""
    v = 280
    out = struct.pack("<4s5i2fi", b"lmgg", 32, 256, 4, 2, v, 8.0, 0.0, 0)
    out += b"".join(map(word, text_vocabulary(v)))
    return _write(path, out, _mpt_tensors(v), _Random(10))


def tiny_replit(path: Path) -> Path:
    """A small Replit: MPT's tensors, and words with scores."""
    v = 280
    out = struct.pack("<4s6i", b"lmgg", 32, 256, 4, 2, v, 0)
    out += b"".join(word(w) + struct.pack("<f", -1.0 - n) for n, w in enumerate(vocabulary(v)))
    return _write(path, out, _mpt_tensors(v), _Random(11))


def _mpt_tensors(v: int, e: int = 32) -> dict[str, tuple[int, ...]]:
    tensors: dict[str, tuple[int, ...]] = {
        "transformer.wte.weight": (v, e),
        "transformer.norm_f.weight": (e,),
    }
    for i in range(2):
        h = f"transformer.blocks.{i}"
        tensors |= {f"{h}.norm_1.weight": (e,), f"{h}.norm_2.weight": (e,)}
        tensors |= {f"{h}.attn.Wqkv.weight": (3 * e, e), f"{h}.attn.out_proj.weight": (e, e)}
        tensors |= {f"{h}.ffn.up_proj.weight": (4 * e, e), f"{h}.ffn.down_proj.weight": (e, 4 * e)}
    return tensors


def tiny_llama_ggjt(path: Path, *, magic: bytes = b"tjgg", version: int = 3) -> Path:
    """A small LLaMA in GGJT (aligned) or GGMF (not)."""
    e, v, f = 32, 259, 96
    words = [b"<unk>", b"<s>", b"</s>"] + [bytes([byte]) for byte in range(256)]
    out = struct.pack("<4sI7i", magic, version, v, e, 32, 4, 2, 8, 0)
    out += b"".join(word(w) + struct.pack("<f", -float(n)) for n, w in enumerate(words))
    tensors = {"tok_embeddings.weight": (v, e), "norm.weight": (e,), "output.weight": (v, e)}
    for i in range(2):
        h = f"layers.{i}"
        tensors |= {f"{h}.attention_norm.weight": (e,), f"{h}.ffn_norm.weight": (e,)}
        tensors |= {f"{h}.attention.w{p}.weight": (e, e) for p in "qkvo"}
        tensors |= {f"{h}.feed_forward.w1.weight": (f, e), f"{h}.feed_forward.w2.weight": (e, f)}
        tensors |= {f"{h}.feed_forward.w3.weight": (f, e)}
    return _write(path, out, tensors, _Random(12), align=32 if magic == b"tjgg" else 0)


def tiny_falcon(path: Path) -> Path:
    """A small Falcon of the 7B kind in GGCC, with its list of merges."""
    e, v, heads = 256, 280, 4
    words = vocabulary(v)
    out = struct.pack("<4sI8i", b"ccgg", 10, v, e, heads, 1, 2, 7, 0, 1)
    out += b"".join(word(w) + struct.pack("<f", 0.0) for w in words)
    out += struct.pack("<i", 1) + word(b"i") + word(b"ng")
    tensors = {
        "transformer.word_embeddings.weight": (v, e), "transformer.ln_f.weight": (e,),
        "transformer.ln_f.bias": (e,), "lm_head.weight": (v, e),
    }  # fmt: skip
    for i in range(2):
        h = f"transformer.h.{i}"
        tensors |= {f"{h}.input_layernorm.weight": (e,), f"{h}.input_layernorm.bias": (e,)}
        tensors |= {f"{h}.self_attention.query_key_value.weight": (e // heads * (heads + 2), e)}
        tensors |= {f"{h}.self_attention.dense.weight": (e, e)}
        tensors |= {f"{h}.mlp.dense_h_to_4h.weight": (4 * e, e)}
        tensors |= {f"{h}.mlp.dense_4h_to_h.weight": (e, 4 * e)}
    return _write(path, out, tensors, _Random(13, 0.05), align=32)


def _write(
    path: Path, head: bytes, shapes: Mapping[str, tuple[int, ...]], random: _Random, align: int = 0
) -> Path:
    out = bytearray(head)
    for name, shape in shapes.items():
        out += tensor(name, random(*shape), align=align, at=len(out))
    path.write_bytes(bytes(out))
    return path


FAMILIES = {
    "gpt2": tiny_gpt2, "starcoder": tiny_starcoder, "gptj": tiny_gptj, "gptneox": tiny_neox,
    "dolly-v2": lambda path: tiny_neox(path, dolly=True), "mpt": tiny_mpt, "replit": tiny_replit,
    "llama": tiny_llama_ggjt, "falcon": tiny_falcon,
}  # fmt: skip
