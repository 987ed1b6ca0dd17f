"""What each part of a loaded model costs in memory: formulas over the model's shape.

They follow how llama.cpp (the version of llama-cpp-python 0.3.36) allocates with flash attention
on and `n_outputs_max` 1. The compute buffer's were found by letting it size graphs without weights
(`no_alloc`) for eleven shapes: Llama 8B, Qwen2 7B, Qwen3 0.6B and 8B, Qwen3 and Mixtral mixtures,
DeepSeek V2 Lite and V3, Gemma 3, wide and narrow attention, at micro-batches of 16 to 512 and
contexts of 1024 to 8192. They agree within 0.1 MiB, but for DeepSeek V3 (5 % too high), attention
as wide as the feed-forward (16 % too high) and Gemma 3 with a quantised context (9 % too low).
`tests/memory/test_bill_against_measurement.py` holds the sum of all lines against the peak of a
real process.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from deepseek_r1.core.settings import KVType, LoadSettings
from deepseek_r1.formats.gguf import ModelHeader, TensorInfo

CONTEXT_STEP = 256  # llama.cpp pads the context to it
_EMBEDDING = "token_embd.weight"
_FLOAT_BYTES = 4
_BLOCK = 32  # values in one block of q8_0 and q4_0
_KV_BLOCK_BYTES = {KVType.F16: 64, KVType.Q8_0: 34, KVType.Q4_0: 18}
_MASK_BYTES = 2  # per pair of a token in the batch and a cell of the cache
_INPUT_BYTES = 24  # per token in the batch: the token, its position, its cells
_ROTATION_BYTES = 96 << 10  # matrices that spread outliers before K and V are quantised
_SORTED_BYTES = 12  # per token of the vocabulary: the sampler's candidates (id, logit, p)
# Per token of the vocabulary while a grammar looks through all of them: its code points, and a list
# of those still possible behind each character. Measured with texts, lists and alternatives: 565
# (R1's vocabulary) to 775 (SmolLM2's).
_GRAMMAR_BYTES = 780
_VOCABULARY_BYTES = 290  # per token: text, type, lookup tables, merges. SmolLM2 288, R1 291
_STAGING_MOST_BYTES = 32 << 20  # malloc gives larger blocks back to the system when they are freed
_PAGE_BYTES = 4096
# Of a type that AMX's layout makes larger: values in a block, and bytes it adds to one.
_AMX_BLOCK = {"Q8_0": (32, 4), "Q4_K": (256, 4), "Q5_K": (256, 4), "IQ4_XS": (256, 2)}
_AMX_ROWS, _AMX_LEAST = 32, 64  # it takes rows and values by so many
_ACTIVATION_BYTES = 292 / 256  # per value, quantised to Q8_K for the product with the weights


@dataclass(frozen=True, slots=True)
class Shape:
    """The widths that memory depends on, in values per token."""

    embedding: int
    feed_forward: int  # of all experts used for one token together
    experts_used: int  # 0 for a dense model
    attention: int  # all query heads
    attention_kv: int  # K or V of one layer, the wider one
    cells: int  # the context, padded
    latent: bool  # multi-head latent attention: DeepSeek V2 and V3
    sliding: bool  # some layers look at a window only


def shape_of(header: ModelHeader, settings: LoadSettings) -> Shape:
    """The widths of a model with a context."""
    experts_used = _number(header, "expert_used_count") if header.experts else 0
    expert_width = _number(header, "expert_feed_forward_length") or header.feed_forward
    return Shape(
        embedding=header.embedding,
        feed_forward=max(header.feed_forward, experts_used * expert_width),
        experts_used=experts_used,
        attention=header.heads * max(header.key_length, header.value_length),
        attention_kv=header.heads_kv * max(header.key_length, header.value_length),
        cells=padded(settings.context_length),
        latent=_number(header, "attention.key_length_mla") > 0,
        sliding=_number(header, "attention.sliding_window") > 0,
    )


def padded(context_length: int) -> int:
    """The context llama.cpp really allocates."""
    return ceil(context_length / CONTEXT_STEP) * CONTEXT_STEP


def weights_bytes(header: ModelHeader, *, packed: bool = False) -> int:
    """All tensors, once: loaded with `load_mode` NONE, repacking replaces and copies nothing.

    `packed`: in the layout for Intel's AMX, which holds a few bytes more for each block.
    """
    total = sum(tensor.nbytes for tensor in header.tensors)
    return total + sum(map(_packing_bytes, header.tensors)) if packed else total


def _packing_bytes(tensor: TensorInfo) -> int:
    """What `ggml_backend_amx_get_alloc_size` adds, for what AMX multiplies with."""
    values, more = _AMX_BLOCK.get(tensor.type_name, (0, 0))
    if not more or len(tensor.shape) != 2 or tensor.name == _EMBEDDING:
        return 0
    rows, row = tensor.shape
    if rows % _AMX_ROWS or row % max(values, _AMX_LEAST):
        return 0
    return tensor.elements // values * more


def token_weights_bytes(header: ModelHeader) -> int:
    """What one token is multiplied with: of the embedding a row, of a mixture the experts used."""
    used = _number(header, "expert_used_count") / header.experts if header.experts else 1.0
    total = 0.0
    for tensor in header.tensors:
        if tensor.name == _EMBEDDING and header.has_output:
            continue
        total += tensor.nbytes * (used if "_exps." in tensor.name else 1.0)
    return round(total)


def kv_cache_bytes(header: ModelHeader, settings: LoadSettings) -> int:
    """Keys and values of every layer for every cell.

    Latent attention stores one row of key_length in place of both. Models with a sliding window
    are counted in full: llama.cpp keeps all cells (`swa_full`) so that a prefix can be reused.
    """
    values = header.heads_kv * header.key_length
    if not shape_of(header, settings).latent:
        values += header.heads_kv * header.value_length
    row_bytes = ceil(values / _BLOCK) * _KV_BLOCK_BYTES[settings.kv_type]
    return header.blocks * padded(settings.context_length) * row_bytes


def compute_bytes(header: ModelHeader, settings: LoadSettings, rows: int = 1) -> int:
    """The graph's activations for one micro-batch, the attention mask, and the product's scratch.

    ggml reuses memory inside the graph, so the widest moment counts. The `rows` of logits fit into
    what the layers have left, except for tiny batches.
    """
    shape = shape_of(header, settings)
    batch = min(settings.micro_batch, shape.cells)
    moments = [_feed_forward_values(shape, settings.kv_type), _attention_values(shape, header)]
    if shape.experts_used:
        moments.append(_mixture_values(shape))
    activations = batch * (max(moments) * _FLOAT_BYTES + _INPUT_BYTES)
    masks = batch * shape.cells * _MASK_BYTES * (2 if shape.sliding else 1)
    scratch = batch * max(shape.feed_forward, shape.attention, shape.embedding) * _ACTIVATION_BYTES
    if settings.kv_type is not KVType.F16:
        scratch += _ROTATION_BYTES
    return ceil(max(activations, rows * header.vocabulary * _FLOAT_BYTES) + masks + scratch)


def writing_bytes(header: ModelHeader, settings: LoadSettings, rows: int) -> int:
    """`compute_bytes` of a pass of an answer: so many tokens, with logits behind each."""
    few = settings.model_copy(update={"micro_batch": min(rows, settings.micro_batch)})
    return compute_bytes(header, few, rows)


def _feed_forward_values(shape: Shape, kv_type: KVType) -> int:
    """Gate, up and their product, beside what is waiting around them."""
    waiting = 2 * shape.embedding + max(shape.attention, shape.embedding)
    if kv_type is KVType.F16:  # quantised rows are written in another order, which needs less
        waiting = max(waiting, 4 * shape.embedding)
    return 3 * shape.feed_forward + waiting


def _attention_values(shape: Shape, header: ModelHeader) -> int:
    """Queries, keys and values before and after their rotation."""
    if shape.latent:  # all heads work on the latent row, which is wider than a head
        rows = shape.attention + 2 * header.heads * header.value_length
        return rows + 2 * (shape.feed_forward if not shape.experts_used else shape.embedding)
    return 2 * (shape.attention + shape.attention_kv + shape.embedding)


def _mixture_values(shape: Shape) -> int:
    """Each expert's result before and after its weight."""
    return shape.feed_forward + (2 * shape.experts_used + 3) * shape.embedding


def output_bytes(header: ModelHeader, rows: int = 1) -> int:
    """So many rows of logits, and the sampler's list of candidates."""
    return header.vocabulary * (rows * _FLOAT_BYTES + _SORTED_BYTES)


def grammar_bytes(header: ModelHeader) -> int:
    """What an answer held to a schema takes on top of all lines, while it is written."""
    return header.vocabulary * _GRAMMAR_BYTES


def vocabulary_bytes(header: ModelHeader) -> int:
    """The tokenizer's tables, which the engine builds from the file."""
    return header.vocabulary * _VOCABULARY_BYTES


def staging_bytes(header: ModelHeader) -> int:
    """What the loader's read buffer, as large as the largest matrix of a block, leaves behind."""
    blocks = [tensor.nbytes for tensor in header.tensors if tensor.name.startswith("blk.")]
    return min(max(blocks, default=0), _STAGING_MOST_BYTES)


def chunk_bytes(settings: LoadSettings) -> int:
    """The unit in which slots for streamed weights are counted; a page without chunks."""
    return settings.chunk_size_kib << 10 if settings.enable_chunk_loading else _PAGE_BYTES


def _number(header: ModelHeader, key: str) -> int:
    """A whole number of the architecture's metadata, 0 where there is none."""
    value = header.metadata.get(f"{header.architecture}.{key}", 0)
    return int(value) if isinstance(value, (int, float)) else 0
