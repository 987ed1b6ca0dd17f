"""Broken and hostile model files, made by hand: each with the error it must be refused with.

The categories follow the public reports on GGUF readers: overflowing counts and lengths
(CVE-2024-23605, CVE-2025-53630 and its successors), types out of range, tensors outside the file,
and the keys and vocabularies that llama.cpp asserts on instead of refusing.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from deepseek_r1.core import errors
from support.raw_gguf import (
    ARRAY,
    F32,
    I32,
    STRING,
    U8,
    U32,
    U64,
    RawGguf,
    RawKey,
    array,
    string,
)

Damaged = errors.ModelFileDamaged
Truncated = errors.ModelFileTruncated
Unknown = errors.ModelFileUnknown
TOKENS = "tokenizer.ggml.tokens"
NAN, INF = float("nan"), float("inf")


@dataclass(frozen=True)
class Hostile:
    """A name, the error expected, and how to make the file of a sound `llama` model."""

    name: str
    expected: type[errors.ModelRefused]
    build: Callable[[RawGguf], bytes]


def _file(name: str, expected: type[errors.ModelRefused], data: bytes) -> Hostile:
    return Hostile(name, expected, lambda _: data)


def _edit(
    name: str, change: Callable[[RawGguf], object], expected: type[errors.ModelRefused] = Damaged
) -> Hostile:
    def build(model: RawGguf) -> bytes:
        change(model)
        return model.bytes()

    return Hostile(name, expected, build)


def _key(
    name: str, key: str, kind: int, value: object, expected: type[errors.ModelRefused] = Damaged
) -> Hostile:
    return _edit(name, lambda m: m.set(key, kind, value), expected)


def _attr(name: str, expected: type[errors.ModelRefused] = Damaged, **values: object) -> Hostile:
    def change(model: RawGguf) -> None:
        for attribute, value in values.items():
            setattr(model, attribute, value)

    return _edit(name, change, expected)


def _tensor(
    case: str, tensor: str, expected: type[errors.ModelRefused] = Damaged, **values: object
) -> Hostile:
    def change(model: RawGguf) -> None:
        found = model.tensor(tensor)
        for attribute, value in values.items():
            setattr(found, attribute, value)

    return _edit(case, change, expected)


def _list(
    name: str, kind: int, count: int, expected: type[errors.ModelRefused] = Damaged
) -> Hostile:
    """A list that claims `count` values and has none."""
    return _raw_key(name, RawKey(b"x", ARRAY, struct.pack("<IQ", kind, count)), expected)


def _raw_key(name: str, raw: RawKey, expected: type[errors.ModelRefused] = Damaged) -> Hostile:
    return _edit(name, lambda m: m.keys.append(raw), expected)


def _retyped(name: str, tensor: str, kind: int, size: int) -> Hostile:
    """A weight of another type, with data and table in agreement."""

    def change(model: RawGguf) -> None:
        found = model.tensor(tensor)
        found.kind, found.data = kind, bytes(size)
        model.lay_out()

    return _edit(name, change)


def _token(name: str, number: int, text: bytes) -> Hostile:
    def change(model: RawGguf) -> None:
        raw, texts, at = model.key(TOKENS).data, [], 12
        while at < len(raw):
            size = int.from_bytes(raw[at : at + 8], "little")
            texts.append(raw[at + 8 : at + 8 + size])
            at += 8 + size
        texts[number] = text
        model.key(TOKENS).data = array(STRING, list(texts))

    return _edit(name, change)


def _overlap(model: RawGguf) -> None:
    model.tensors[2].offset = model.tensors[1].offset


def _bigger_vocabulary(model: RawGguf) -> None:
    embedding = model.tensor("token_embd.weight")
    embedding.shape[1] -= 1
    embedding.data = embedding.data[: 64 // 32 * 34 * embedding.shape[1]]
    model.lay_out()


def _in_groups_of_128(model: RawGguf) -> None:
    """As another program packs type 42: 34 bytes for 128 values, where llama.cpp has 18 for 64."""
    tensor = model.tensor("token_embd.weight")
    rows = tensor.shape[1] // 2 * 2
    tensor.shape, tensor.kind, tensor.data = [64, rows], 42, bytes(64 * rows // 128 * 34)
    model.lay_out()


def _split_as_tomorrow(model: RawGguf) -> None:
    model.set("tokenizer.ggml.model", STRING, "gpt2").set("tokenizer.ggml.pre", STRING, "gpt-9")
    model.set("tokenizer.ggml.merges", ARRAY, array(STRING, [b"a b"]))


def _vocabulary_only(model: RawGguf) -> bytes:
    model.tensors = []
    return model.bytes()


HEAD = b"GGUF" + struct.pack("<I", 3)

FIRST_BYTES = [
    _file("no bytes", errors.ModelFileEmpty, b""),
    _file("only NULs", errors.ModelFileEmpty, bytes(100_000)),
    _file("text", errors.NotAModelFile, b"Dear model,\n"),
    _file("a Git LFS pointer", errors.NotAModelFile, b"version https://git-lfs.github.com/spec/v1"),
    _file("terminal escapes", errors.NotAModelFile, b"\x1b[2J" + bytes(50)),
    _file("three letters", errors.NotAModelFile, b"GGU"),
    _file("GGML", errors.LegacyModelFile, b"lmgg" + bytes(60)),
    _file("GGJT", errors.LegacyModelFile, b"tjgg" + struct.pack("<I", 3) + bytes(60)),
    _file("GGLA, an old adapter", errors.LegacyModelFile, b"algg" + bytes(60)),
    _attr("version 0", errors.GgufVersionUnknown, version=0),
    _attr("version 1, whose counts are shorter", errors.ModelFileDamaged, version=1),
    _attr("version 4", errors.GgufVersionUnknown, version=4),
    _file("big-endian", errors.GgufVersionUnknown, b"GGUF" + struct.pack(">IQQ", 3, 10, 10)),
]

CUTS = [
    _file("magic alone", Truncated, b"GGUF"),
    Hostile("cut in the keys", Truncated, lambda m: m.bytes()[:300]),
    Hostile("cut in the vocabulary", Truncated, lambda m: m.bytes()[:4000]),
    Hostile("all of the header, none of the weights", Truncated, RawGguf.header),
    Hostile("half of the weights", Truncated, lambda m: m.bytes()[: len(m.bytes()) // 2]),
    Hostile("a vocabulary without weights", errors.ModelWithoutWeights, _vocabulary_only),
]

COUNTS = [
    _attr("2^64-1 tensors", tensor_count=(1 << 64) - 1),
    _attr("a million tensors", tensor_count=1_000_000),
    _attr("2^64-1 keys", key_count=(1 << 64) - 1),
    _raw_key("a text of 2^64-1 bytes", RawKey(b"x", STRING, b"\xff" * 8)),
    _list("2^64-1 texts", STRING, (1 << 64) - 1),
    _list("2^62 numbers", U32, 1 << 62),
    _list("more numbers than bytes", U64, 10**6, Truncated),
    _list("more texts than bytes", STRING, 10**6, Truncated),
    _raw_key("a list of lists", RawKey(b"x", ARRAY, struct.pack("<IQ", ARRAY, 1) + array(U8, [1]))),
    _raw_key("type 13", RawKey(b"x", 13, bytes(8))),
    _raw_key("a list of type 255", RawKey(b"x", ARRAY, struct.pack("<IQ", 255, 1) + b"\0")),
    _raw_key("a key twice", RawKey(b"general.name", STRING, string("again"))),
    _raw_key("a key without name", RawKey(b"", U8, b"\0")),
    _raw_key("a key with a NUL", RawKey(b"general.name\0x", U8, b"\0")),
    _raw_key("a key that is not UTF-8", RawKey(b"\xff\xfe\xfd", U8, b"\0")),
    _key("alignment 0", "general.alignment", U32, 0),
    _key("alignment 3", "general.alignment", U32, 3),
    _key("alignment as text", "general.alignment", STRING, "32"),
]

TABLE = [
    _tensor("no dimensions", "output_norm.weight", dimensions=0),
    _tensor("five dimensions", "output_norm.weight", shape=[64, 1, 1, 1, 1]),
    _tensor("a size of 0", "output_norm.weight", shape=[0]),
    _tensor("a negative size", "output_norm.weight", shape=[-64]),
    _tensor("sizes whose product overflows", "output.weight", shape=[1 << 32, 1 << 32]),
    _tensor("a row that is no multiple of its block", "token_embd.weight", shape=[63, 470]),
    _tensor("type -1", "output.weight", kind=0xFFFFFFFF),
    _tensor("an offset behind the file", "output.weight", offset=1 << 40),
    _tensor("an offset off the alignment", "output.weight", offset=1),
    _edit("two tensors in one place", _overlap),
    _tensor("a tensor twice", "output.weight", name=b"output_norm.weight"),
    _tensor("a tensor without name", "output.weight", name=b""),
    _tensor("a name of 64 letters", "output.weight", name=b"x" * 64),
    _tensor("a name with a NUL", "output.weight", name=b"output\0weight"),
]

LATER = [  # files of a later kind, or of another program's
    _tensor("type 4, removed", "output.weight", Unknown, kind=4),
    _tensor("type 43, not yet", "output.weight", Unknown, kind=43),
    _tensor("PQ2_0", "output.weight", Unknown, kind=142),
    _edit("Q2_0 in groups of 128", _in_groups_of_128, Unknown),
    _key("rotated weights", "prism.hadamard.block", U32, 128, Unknown),
    _key("a tokenizer of tomorrow", "tokenizer.ggml.model", STRING, "gpt9", Unknown),
    _edit("words split as tomorrow", _split_as_tomorrow, Unknown),
] + [
    _key(f"architecture {name!r}", "general.architecture", STRING, name, errors.ArchitectureTooNew)
    for name in ("qwen5", "whisper", "", "\0")
]

KINDS = [
    _key(f"architecture {name!r}", "general.architecture", STRING, name, errors.ArchitectureUnknown)
    for name in ("clip", "bert", "t5encoder", "mamba", "wavtokenizer-dec")
] + [
    _edit("no architecture", lambda m: m.drop("general.architecture")),
    _key("architecture as number", "general.architecture", U32, 7),
    _key("an adapter", "general.type", STRING, "adapter", errors.ArchitectureUnknown),
    _key("architecture without its keys", "general.architecture", STRING, "qwen3"),
]

SHAPE = [
    _edit("no block count", lambda m: m.drop("llama.block_count")),
    _key("no blocks", "llama.block_count", U32, 0),
    _key("more blocks than weights", "llama.block_count", U32, 3),
    _key("fewer blocks than weights", "llama.block_count", U32, 1),
    _key("blocks as text", "llama.block_count", STRING, "two"),
    _key("no context", "llama.context_length", U32, 0),
    _key("no width", "llama.embedding_length", U32, 0),
    _key("a width that is not the weights'", "llama.embedding_length", U32, 128),
    _key("no heads", "llama.attention.head_count", U32, 0),
    _key("more heads than width", "llama.attention.head_count", U32, 65),
    _key("KV heads that do not divide", "llama.attention.head_count_kv", U32, 3),
    _key("heads per layer, of one layer", "llama.attention.head_count", ARRAY, array(U32, [4])),
    _key("odd rotation", "llama.rope.dimension_count", U32, 15),
    _key("a key length apart", "llama.attention.key_length", U32, 32),
    _key("unknown scaling", "llama.rope.scaling.type", STRING, "magic"),
    _key("epsilon below 0", "llama.attention.layer_norm_rms_epsilon", F32, -1.0),
    _key("epsilon NaN", "llama.attention.layer_norm_rms_epsilon", F32, NAN),
    _key("frequency 0", "llama.rope.freq_base", F32, 0.0),
    _key("2000 experts", "llama.expert_count", U32, 2000),
    _key("experts of which none is used", "llama.expert_count", U32, 8),
    _key("experts used of none", "llama.expert_used_count", U32, 2),
    _key("all blocks for prediction", "llama.nextn_predict_layers", U32, 2),
    _edit("no embedding", lambda m: m.drop_tensor("token_embd.weight")),
    _edit("no output norm", lambda m: m.drop_tensor("output_norm.weight")),
    _edit("a block without keys", lambda m: m.drop_tensor("blk.1.attn_k.weight")),
    _retyped("an embedding of whole numbers", "token_embd.weight", 26, 64 * 470 * 4),
    _retyped("a norm of halves", "output_norm.weight", 1, 64 * 2),
]

VOCABULARY = [
    _edit("no tokenizer", lambda m: m.drop("tokenizer.ggml.model")),
    _edit("no tokens", lambda m: m.drop(TOKENS)),
    _edit("no merges", lambda m: m.set("tokenizer.ggml.model", STRING, "gpt2")),
    _key("tokenizer none", "tokenizer.ggml.model", STRING, "none", Unknown),
    _key("tokens that are numbers", TOKENS, ARRAY, array(U32, [1, 2, 3])),
    _key("an empty vocabulary", TOKENS, ARRAY, array(STRING, [])),
    _token("a token twice", 300, b"<s>"),
    _token("a token twice, up to its NUL", 300, b"<s>\0x"),
    _token("no token for a byte", 3 + 10, b"newline"),
    _token("a token of 100,000 letters", 300, b"a" * 100_000),
    _key("too few scores", "tokenizer.ggml.scores", ARRAY, array(F32, [0.0])),
    _key("too few types", "tokenizer.ggml.token_type", ARRAY, array(I32, [1])),
    _key("end behind the vocabulary", "tokenizer.ggml.eos_token_id", U32, 470),
    _key("begin behind the vocabulary", "tokenizer.ggml.bos_token_id", U32, 0xFFFFFFFF),
    _edit("an embedding smaller than the vocabulary", _bigger_vocabulary),
]

CASES = FIRST_BYTES + CUTS + COUNTS + TABLE + LATER + KINDS + SHAPE + VOCABULARY
