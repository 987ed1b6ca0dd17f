"""Tiny GGUF models that llama.cpp loads and runs: random weights, real structure.

`tiny_llama` has a SentencePiece vocabulary, the other chat models a byte-pair one. All are a few
hundred kilobytes and load in milliseconds.
"""

from pathlib import Path

import gguf
import numpy as np

EMBEDDING = 64
HEADS = 4
HEADS_KV = 2
FEED_FORWARD = 128
BLOCKS = 2
CONTEXT = 512

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WORDS = (
    "the", "of", "and", "to", "in", "is", "it", "you", "that", "he", "was", "for", "on", "have",
)  # fmt: skip


def tiny_llama(path: Path, *, seed: int = 1, **keys: object) -> Path:
    """A `llama` model with a SentencePiece vocabulary at `path`."""
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    types = [2, 3, 3] + [6] * 256
    letters = [chr(code) for code in range(33, 127)]
    pieces = ["▁", *letters, *(f"▁{letter}" for letter in letters), *(f"▁{w}" for w in WORDS)]
    tokens += pieces
    types += [1] * len(pieces)
    writer = _writer(path, "llama", len(tokens), **keys)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * 259 + [-float(n) for n in range(len(pieces))])
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    return finish(writer, len(tokens), seed)


def tiny_qwen2(path: Path, *, seed: int = 2, **keys: object) -> Path:
    """A `qwen2` model, the kind of most of R1's distilled models, at `path`."""
    return _byte_pair(path, "qwen2", seed, keys, bias=True)


def tiny_qwen3(path: Path, *, seed: int = 3, **keys: object) -> Path:
    """A `qwen3` model, with norms in every head, at `path`."""
    return _byte_pair(path, "qwen3", seed, keys, head_norms=True)


def tiny_mixture(path: Path, *, seed: int = 4, **keys: object) -> Path:
    """A `llama` model with four experts, of which two are used, at `path`."""
    return _byte_pair(path, "llama", seed, keys, experts=4)


def tiny_bert(path: Path, *, seed: int = 5, name: str = "Tiny bert", words: int = 0) -> Path:
    """An embedding model with a vocabulary of letters, and of `words` more, at `path`."""
    letters = [chr(code) for code in range(33, 127)]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokens += [*(f"▁{letter}" for letter in letters), *letters]
    tokens += [f"▁word{number}" for number in range(words)]
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_name(name)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(EMBEDDING)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_block_count(BLOCKS)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(value=False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_token_type_count(1)
    writer.add_tokenizer_model("bert")
    writer.add_token_list(tokens)
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_sep_token_id(3)
    random = np.random.default_rng(seed)

    def add(name: str, *shape: int) -> None:
        writer.add_tensor(name, random.standard_normal(shape, dtype=np.float32))

    add("token_embd.weight", len(tokens), EMBEDDING)
    add("position_embd.weight", CONTEXT, EMBEDDING)
    add("token_types.weight", 1, EMBEDDING)
    norms, products = ["token_embd_norm"], {}
    for block in (f"blk.{number}." for number in range(BLOCKS)):
        norms += [block + "attn_output_norm", block + "layer_output_norm"]
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            products[block + part] = (EMBEDDING, EMBEDDING)
        products[block + "ffn_up"] = (FEED_FORWARD, EMBEDDING)
        products[block + "ffn_down"] = (EMBEDDING, FEED_FORWARD)
    for each, shape in [*products.items(), *((each, (EMBEDDING,)) for each in norms)]:
        add(f"{each}.weight", *shape)
        add(f"{each}.bias", shape[0])
    return write(writer)


ALL = (tiny_llama, tiny_qwen2, tiny_qwen3, tiny_mixture)


def _byte_pair(
    path: Path, architecture: str, seed: int, keys: dict[str, object], **kind: int
) -> Path:
    """A model with a byte-pair vocabulary; `kind` is what `finish` takes."""
    writer, tokens = byte_pair_writer(path, architecture, **keys)
    if kind.get("experts"):
        writer.add_expert_count(kind["experts"])
        writer.add_expert_used_count(2)
    return finish(writer, tokens, seed, **kind)


def byte_pair_writer(path: Path, architecture: str, **keys: object) -> tuple[gguf.GGUFWriter, int]:
    """A file with a byte-pair vocabulary and no tensors yet, and how many tokens it has."""
    alphabet = _byte_alphabet()
    merges = ["Ġ t", "h e", "Ġt he", "i n", "Ġ a", "a n", "o n", "Ġa n"]
    tokens = alphabet + [merge.replace(" ", "") for merge in merges]
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
    types = [1] * len(tokens) + [3, 3, 3, 4, 4]
    tokens += special
    writer = _writer(path, architecture, len(tokens), **keys)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(tokens.index("<|endoftext|>"))
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_add_bos_token(False)
    return writer, len(tokens)


def _writer(
    path: Path, architecture: str, tokens: int, *, template: str = CHATML, **keys: object
) -> gguf.GGUFWriter:
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type("model")
    writer.add_name(f"Tiny {architecture}")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(EMBEDDING)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_block_count(BLOCKS)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS_KV)
    writer.add_rope_dimension_count(EMBEDDING // HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(tokens)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    if template:
        writer.add_chat_template(template)
    for key, value in keys.items():
        writer.add_string(key.replace("__", "."), str(value))
    return writer


def finish(
    writer: gguf.GGUFWriter,
    tokens: int,
    seed: int,
    *,
    bias: int = False,
    head_norms: int = False,
    experts: int = 0,
    width: int = FEED_FORWARD,
) -> Path:
    """Random tensors for `tokens` tokens, and the file; `width` is the feed-forward's."""
    random = np.random.default_rng(seed)

    def add(name: str, *shape: int, quantised: bool = False) -> None:
        data = random.standard_normal(shape, dtype=np.float32) * 0.1
        if quantised:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quants.quantize(data, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, data)

    head = EMBEDDING // HEADS
    each_expert = (experts,) if experts else ()
    feed_forward = "_exps.weight" if experts else ".weight"
    add("token_embd.weight", tokens, EMBEDDING, quantised=True)
    add("output_norm.weight", EMBEDDING)
    add("output.weight", tokens, EMBEDDING)
    for block in range(BLOCKS):
        name = f"blk.{block}."
        add(name + "attn_norm.weight", EMBEDDING)
        add(name + "attn_q.weight", EMBEDDING, EMBEDDING, quantised=True)
        add(name + "attn_k.weight", head * HEADS_KV, EMBEDDING)
        add(name + "attn_v.weight", head * HEADS_KV, EMBEDDING)
        if bias:
            add(name + "attn_q.bias", EMBEDDING)
            add(name + "attn_k.bias", head * HEADS_KV)
            add(name + "attn_v.bias", head * HEADS_KV)
        if head_norms:
            add(name + "attn_q_norm.weight", head)
            add(name + "attn_k_norm.weight", head)
        add(name + "attn_output.weight", EMBEDDING, EMBEDDING, quantised=True)
        add(name + "ffn_norm.weight", EMBEDDING)
        if experts:
            add(name + "ffn_gate_inp.weight", experts, EMBEDDING)
        add(name + "ffn_gate" + feed_forward, *each_expert, width, EMBEDDING, quantised=True)
        add(name + "ffn_up" + feed_forward, *each_expert, width, EMBEDDING)
        add(name + "ffn_down" + feed_forward, *each_expert, EMBEDDING, width)
    return write(writer)


def write(writer: gguf.GGUFWriter) -> Path:
    """Put the file on the disk."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Path(writer.path)


def _byte_alphabet() -> list[str]:
    """The 256 printable stand-ins for bytes that byte-pair vocabularies are written in."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = (byte for byte in range(256) if byte not in plain)
    stand_in = {byte: chr(256 + n) for n, byte in enumerate(others)}
    return [stand_in.get(byte, chr(byte)) for byte in range(256)]
