"""The layouts of old GGML files, family by family: sizes, vocabulary and tensors.

Source: the loaders of the engine for old files, ctransformers 0.2.27, which follow the examples
of ggml and the llama.cpp of summer 2023. A file fits exactly one of these layouts. Most of these
formats do not name the family, so the names of the tensors decide.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

GGML, GGMF, GGJT, GGCC = "GGML", "GGMF", "GGJT", "GGCC"
UNVERSIONED, ADAPTER = GGML, "GGLA"
ALIGNED: Final = (GGJT, GGCC)  # a tensor's data begins at a multiple of 32
VERSIONS: Final = {GGML: (0,), GGMF: (1,), GGJT: (1, 2, 3), GGCC: (10,)}

# As in the file. The magic was written as a little-endian number, so its letters are reversed.
MAGICS: Final = {b"lmgg": GGML, b"fmgg": GGMF, b"tjgg": GGJT, b"ccgg": GGCC, b"algg": ADAPTER}

# The engine for old files computes inside one buffer of this size.
ENGINE_BUFFER_BYTES: Final = 256 << 20
BUFFER_SHARE: Final = 0.9  # the rest is the graph itself
ACTIVATIONS: Final = 60  # values a block keeps for each token, in widths of the embedding
SCORES: Final = 4  # values a block keeps for each token, past token and head

Sizes = Mapping[str, int]
Names = Mapping[str, str]  # a tensor's name, with {i} for the block, and its shape's formula


@dataclass(frozen=True, slots=True)
class GgmlLayout:
    """The layout of one family's files.

    `fields` are the 32-bit numbers at the file's start. `shared` and `per_block` give each
    tensor's shape as widths joined by "x", rows first: e the embedding, v the vocabulary, c the
    context, f the feed-forward, q queries with keys and values.
    """

    family: str  # its name in ctransformers
    containers: tuple[str, ...]
    fields: tuple[str, ...]
    shared: Names
    per_block: Names
    counted: bool = False  # a count precedes the vocabulary
    scored: bool = False  # a score follows each token
    utf8_tokens: bool = False  # tokens are UTF-8; otherwise any bytes
    byte_tokens: bool = False  # the engine dies of a text with a byte that is no token
    one_type: bool = True  # all matrices have the type that the header names
    current_versions: tuple[int, ...] = ()  # those with today's layout of quantised blocks
    optional: frozenset[str] = frozenset()
    wide: frozenset[str] = frozenset()  # matrices that are F32 in every file
    kind: int = 0  # Falcon's `falcon_type`: billions of parameters
    context: int = 2048  # trained context, where the file does not contain it
    cache_bytes: int = 2  # bytes of a value in the KV cache
    copies_values: bool = False  # the engine copies all past values of all blocks for each token

    def usable_context(self, sizes: Sizes, family: str) -> int:
        """The largest safe context: the engine aborts the process when its buffer is too small."""
        if not self.copies_values or family == "starcoder":  # it has a buffer of its own
            return sizes["n_ctx"]
        blocks, width = sizes["n_layer"], sizes["n_embd"]
        free_bytes = ENGINE_BUFFER_BYTES - 4 * blocks * ACTIVATIONS * width - 4 * sizes["n_vocab"]
        token_bytes = blocks * (width * self.cache_bytes + 4 * SCORES * sizes["n_head"])
        return max(1, min(sizes["n_ctx"], int(BUFFER_SHARE * free_bytes / token_bytes)))

    def shapes(self, sizes: Sizes) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Every tensor that the file must or may contain, with its shape."""
        for name, formula in self.shared.items():
            yield name, _shape(formula, sizes)
        for block in range(sizes["n_layer"]):
            for name, formula in self.per_block.items():
                yield name.format(i=block), _shape(formula, sizes)


def _shape(formula: str, sizes: Sizes) -> tuple[int, ...]:
    return tuple(_width(part, sizes) for part in formula.split("x"))


def _width(part: str, sizes: Sizes) -> int:
    times, letter = (int(part[:-1]), part[-1]) if len(part) > 1 else (1, part)
    names = {"e": "n_embd", "v": "n_vocab", "c": "n_ctx", "f": "n_ff", "q": "n_qkv"}
    return times * sizes[names[letter]]


_GPT2_SHARED: Final = {
    "model/ln_f/g": "e", "model/ln_f/b": "e", "model/wte": "exv", "model/wpe": "exc",
    "model/lm_head": "exv",
}  # fmt: skip
_GPT2_BLOCK: Final = {
    "model/h{i}/ln_1/g": "e", "model/h{i}/ln_1/b": "e",
    "model/h{i}/ln_2/g": "e", "model/h{i}/ln_2/b": "e",
    "model/h{i}/attn/c_attn/w": "ex3e", "model/h{i}/attn/c_attn/b": "3e",
    "model/h{i}/attn/c_proj/w": "exe", "model/h{i}/attn/c_proj/b": "e",
    "model/h{i}/mlp/c_fc/w": "ex4e", "model/h{i}/mlp/c_fc/b": "4e",
    "model/h{i}/mlp/c_proj/w": "4exe", "model/h{i}/mlp/c_proj/b": "e",
}  # fmt: skip
_GPTJ_SHARED: Final = {
    "transformer.wte.weight": "exv", "transformer.ln_f.weight": "e", "transformer.ln_f.bias": "e",
    "lm_head.weight": "exv", "lm_head.bias": "v",
}  # fmt: skip
_GPTJ_BLOCK: Final = {
    "transformer.h.{i}.ln_1.weight": "e", "transformer.h.{i}.ln_1.bias": "e",
    "transformer.h.{i}.attn.q_proj.weight": "exe", "transformer.h.{i}.attn.k_proj.weight": "exe",
    "transformer.h.{i}.attn.v_proj.weight": "exe", "transformer.h.{i}.attn.out_proj.weight": "exe",
    "transformer.h.{i}.mlp.fc_in.weight": "ex4e", "transformer.h.{i}.mlp.fc_in.bias": "4e",
    "transformer.h.{i}.mlp.fc_out.weight": "4exe", "transformer.h.{i}.mlp.fc_out.bias": "e",
}  # fmt: skip
_NEOX_SHARED: Final = {
    "gpt_neox.embed_in.weight": "exv", "gpt_neox.final_layer_norm.weight": "e",
    "gpt_neox.final_layer_norm.bias": "e", "embed_out.weight": "exv",
}  # fmt: skip
_NEOX_BLOCK: Final = {
    "gpt_neox.layers.{i}.input_layernorm.weight": "e",
    "gpt_neox.layers.{i}.input_layernorm.bias": "e",
    "gpt_neox.layers.{i}.attention.query_key_value.weight": "ex3e",
    "gpt_neox.layers.{i}.attention.query_key_value.bias": "3e",
    "gpt_neox.layers.{i}.attention.dense.weight": "exe",
    "gpt_neox.layers.{i}.attention.dense.bias": "e",
    "gpt_neox.layers.{i}.post_attention_layernorm.weight": "e",
    "gpt_neox.layers.{i}.post_attention_layernorm.bias": "e",
    "gpt_neox.layers.{i}.mlp.dense_h_to_4h.weight": "ex4e",
    "gpt_neox.layers.{i}.mlp.dense_h_to_4h.bias": "4e",
    "gpt_neox.layers.{i}.mlp.dense_4h_to_h.weight": "4exe",
    "gpt_neox.layers.{i}.mlp.dense_4h_to_h.bias": "e",
}
_MPT_SHARED: Final = {"transformer.wte.weight": "exv", "transformer.norm_f.weight": "e"}
_MPT_BLOCK: Final = {
    "transformer.blocks.{i}.norm_1.weight": "e", "transformer.blocks.{i}.norm_2.weight": "e",
    "transformer.blocks.{i}.attn.Wqkv.weight": "ex3e",
    "transformer.blocks.{i}.attn.out_proj.weight": "exe",
    "transformer.blocks.{i}.ffn.up_proj.weight": "ex4e",
    "transformer.blocks.{i}.ffn.down_proj.weight": "4exe",
}  # fmt: skip
_LLAMA_SHARED: Final = {
    "tok_embeddings.weight": "exv", "norm.weight": "e", "output.weight": "exv",
}  # fmt: skip
_LLAMA_BLOCK: Final = {
    "layers.{i}.attention_norm.weight": "e", "layers.{i}.ffn_norm.weight": "e",
    "layers.{i}.attention.wq.weight": "exe", "layers.{i}.attention.wk.weight": "exe",
    "layers.{i}.attention.wv.weight": "exe", "layers.{i}.attention.wo.weight": "exe",
    "layers.{i}.feed_forward.w1.weight": "exf", "layers.{i}.feed_forward.w2.weight": "fxe",
    "layers.{i}.feed_forward.w3.weight": "exf",
}  # fmt: skip
_FALCON_SHARED: Final = {
    "transformer.word_embeddings.weight": "exv", "transformer.ln_f.weight": "e",
    "transformer.ln_f.bias": "e", "lm_head.weight": "exv",
}  # fmt: skip
_FALCON_BLOCK: Final = {
    "transformer.h.{i}.self_attention.query_key_value.weight": "exq",
    "transformer.h.{i}.self_attention.dense.weight": "exe",
    "transformer.h.{i}.mlp.dense_h_to_4h.weight": "ex4e",
    "transformer.h.{i}.mlp.dense_4h_to_h.weight": "4exe",
}
_FALCON_7_NORMS: Final = {
    "transformer.h.{i}.input_layernorm.weight": "e", "transformer.h.{i}.input_layernorm.bias": "e",
}  # fmt: skip
_FALCON_40_NORMS: Final = {
    f"transformer.h.{{i}}.{norm}.{part}": "e"
    for norm in ("ln_mlp", "ln_attn")
    for part in ("weight", "bias")
}

_GPT_FIELDS: Final = ("n_vocab", "n_ctx", "n_embd", "n_head", "n_layer")
_MPT_FIELDS: Final = ("n_embd", "n_ctx", "n_head", "n_layer", "n_vocab")
_LLAMA_FIELDS: Final = ("n_vocab", "n_embd", "n_mult", "n_head", "n_layer", "n_rot", "ftype")
_FALCON_FIELDS: Final = (
    "n_vocab", "n_embd", "n_head", "n_head_kv", "n_layer", "falcon_type", "ftype", "n_merges",
)  # fmt: skip

LAYOUTS: Final = (
    GgmlLayout(
        "gpt2", (GGML,), (*_GPT_FIELDS, "ftype"), _GPT2_SHARED, _GPT2_BLOCK, counted=True,
        optional=frozenset({"model/lm_head"}), wide=frozenset({"model/wpe"}), cache_bytes=4,
        copies_values=True,
    ),
    GgmlLayout(
        "gptj", (GGML,), (*_GPT_FIELDS, "n_rot", "ftype"), _GPTJ_SHARED, _GPTJ_BLOCK, counted=True,
    ),
    GgmlLayout(
        "gptneox", (GGML,), (*_GPT_FIELDS, "n_rot", "par_res", "ftype"), _NEOX_SHARED, _NEOX_BLOCK,
    ),
    GgmlLayout(
        "mpt", (GGML,), (*_MPT_FIELDS, "alibi", "clip", "ftype"), _MPT_SHARED, _MPT_BLOCK,
        utf8_tokens=True,
    ),
    GgmlLayout(
        "replit", (GGML,), (*_MPT_FIELDS, "ftype"), _MPT_SHARED, _MPT_BLOCK, scored=True,
        copies_values=True,
    ),
    GgmlLayout(
        "llama", (GGMF, GGJT), _LLAMA_FIELDS, _LLAMA_SHARED, _LLAMA_BLOCK, scored=True,
        byte_tokens=True, one_type=False, current_versions=(3,), context=4096,
    ),
    GgmlLayout(
        "falcon", (GGCC,), _FALCON_FIELDS, _FALCON_SHARED, _FALCON_BLOCK | _FALCON_7_NORMS,
        scored=True, byte_tokens=True, one_type=False, current_versions=(10,), kind=7,
    ),
    GgmlLayout(
        "falcon", (GGCC,), _FALCON_FIELDS, _FALCON_SHARED, _FALCON_BLOCK | _FALCON_40_NORMS,
        scored=True, byte_tokens=True, one_type=False, current_versions=(10,), kind=40,
    ),
)  # fmt: skip
