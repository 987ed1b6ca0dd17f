"""Formulas for the memory of each part of a loaded model.

They follow how llama.cpp (the version of llama-cpp-python 0.3.36) allocates with flash attention on
and `n_outputs_max` 1. The formula for the compute buffer was fitted to graphs that llama.cpp sized
without weights (`no_alloc`) for eleven shapes: Llama 8B, Qwen2 7B, Qwen3 0.6B and 8B, Qwen3 and
Mixtral mixtures, DeepSeek V2 Lite and V3, Gemma 3, wide and narrow attention, at micro-batches of
16 to 512 and contexts of 1024 to 8192. It agrees within 0.1 MiB, except for DeepSeek V3 (5 % too
high), attention as wide as the feed-forward (16 % too high) and Gemma 3 with a quantised context (9
% too low). `tests/memory/test_plan_measured.py` compares the sum of all lines with the peak of a
real process.
"""

import re
from collections import defaultdict
from dataclasses import dataclass
from math import ceil

from deepseek_r1.core.settings import KVType, LoadSettings
from deepseek_r1.formats.gguf import ModelHeader, TensorInfo
from deepseek_r1.formats.header import once_per_header

CONTEXT_STEP = 256  # llama.cpp pads the context to it
_EMBEDDING = "token_embd.weight"
_FLOAT_BYTES = 4
_BLOCK = 32  # values in one block of q8_0 and q4_0
_KV_BLOCK_BYTES = {KVType.F16: 64, KVType.Q8_0: 34, KVType.Q4_0: 18}
_MASK_BYTES = 2  # per pair of a token in the batch and a cell of the cache
_INPUT_BYTES = 24  # per token in the batch: the token, its position, its cells
_ROTATION_BYTES = 96 << 10  # of matrices that spread outliers before K and V are quantised
_SORTED_BYTES = 12  # per token of the vocabulary: the sampler's candidates (id, logit, p)
# Per token of the vocabulary, while a grammar examines all of them: the token's code points, and a
# list of the tokens that are still possible after each character. Measured with texts, lists and
# alternatives: 565 (R1's vocabulary) to 775 (SmolLM2's).
_GRAMMAR_BYTES = 780
_VOCABULARY_BYTES = 290  # per token: text, type, lookup tables, a merge. SmolLM2 288, R1 291
_TREE_BYTES = 235  # per token of a tokenizer of the type t5: its prefix tree. E5 small
_MERGE_BYTES = 135  # per further merge: measured with 100,000 to 1,000,000, at the load's peak
# Texts of up to 15 bytes lie in their tables; of longer ones there are up to four copies. Published
# vocabularies take 16 to 20 bytes a text in the file, 8 of them for its length.
_SHORT_TEXT_BYTES, _LONG_TEXT_COPIES = 18, 8
_SPECIAL_BYTES = 1000  # per special token: measured with 49,152, at the peak of tokenizing
# What the template's process may take: per character of it, and per token of a full context.
_TEMPLATE_BYTES, _PROMPT_BYTES = 256, 5 * 32
_SEGMENT_CELLS = 256  # of `engine.llama.prompt_cache`
_BLOCK_TENSOR = re.compile(r"blk\.(\d+)\.(.+)")
_CONVOLUTIONS = ("ssm_conv1d", "shortconv.conv")
_ATTENTIONS = {"attn_k.weight", "attn_qkv.weight", "attn_kv_a_mqa.weight"}
_LATENT = "attention.key_length_mla"
_BESIDE = "ssm_in.weight"  # of Mamba: keys in the same layer are those of attention
_ROLLBACK = frozenset({
    "qwen35", "qwen35moe", "lfm2", "lfm2moe", "nemotron_h", "nemotron_h_moe", "bailingmoe3",
})  # fmt: skip
CHECKPOINTS = 3
"""Copies of a recurrent state in memory."""
AUTOMATIC_ROWS = 7
"""Rows of logits with automatic drafts, each of which takes memory."""
_RECURRENT_DRAFTS = 3  # tokens at most with a recurrent state: each takes one more state
_STAGING_MOST_BYTES = 32 << 20  # malloc returns larger blocks to the system when they are freed
_PAGE_BYTES = 4096
GRAPHICS_ALIGNMENT = 4096  # of what a graphics processor's buffer holds; drivers ask for up to 256
# For the types that AMX's layout makes larger: values in a block, and bytes added to each block.
_AMX_BLOCK = {"Q8_0": (32, 4), "Q4_K": (256, 4), "Q5_K": (256, 4), "IQ4_XS": (256, 2)}
_AMX_ROWS, _AMX_LEAST = 32, 64  # it takes whole multiples of so many rows and values
_ACTIVATION_BYTES = 292 / 256  # per value, quantised to Q8_K for the product with the weights


def padded(context_length: int) -> int:
    """The number of cells that llama.cpp allocates for a context."""
    return ceil(context_length / CONTEXT_STEP) * CONTEXT_STEP


def weights_bytes(header: ModelHeader, *, packed: bool = False) -> int:
    """All tensors, once: with `load_mode` NONE, repacking replaces weights and copies nothing.

    `packed` is the layout for Intel's AMX, which takes a few bytes more for each block.
    """
    plain_bytes, packing_bytes = _sums(header)
    return plain_bytes + packing_bytes if packed else plain_bytes


@once_per_header
def _sums(header: ModelHeader) -> tuple[int, int]:
    tensors = header.tensors
    return sum(tensor.nbytes for tensor in tensors), sum(map(_packing_bytes, tensors))


def _packing_bytes(tensor: TensorInfo) -> int:
    """Bytes that `ggml_backend_amx_get_alloc_size` adds to a weight for AMX."""
    values, added = _AMX_BLOCK.get(tensor.type_name, (0, 0))
    if not added or len(tensor.shape) != 2 or tensor.name == _EMBEDDING:
        return 0
    rows, row = tensor.shape
    if rows % _AMX_ROWS or row % max(values, _AMX_LEAST):
        return 0
    return tensor.elements // values * added


@once_per_header
def token_weights_bytes(header: ModelHeader) -> int:
    """The weights that one token is multiplied with; of a mixture, the experts that it uses."""
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
    count in full: llama.cpp keeps all cells (`swa_full`) so that a prefix can be reused.
    """
    return _cells_bytes(header, settings.kv_type, settings.context_length)


def _cells_bytes(header: ModelHeader, kv_type: KVType, context_length: int) -> int:
    values = header.heads_kv * header.key_length
    if not _number(header, _LATENT):
        values += header.heads_kv * header.value_length
    row_bytes = ceil(values / _BLOCK) * _KV_BLOCK_BYTES[kv_type]
    return layers_of(header).attention * padded(context_length) * row_bytes


def heads_in_blocks(header: ModelHeader) -> bool:
    """Whether keys and values of a head are whole blocks of q8_0 and q4_0, as llama.cpp asks."""
    return not (header.key_length % _BLOCK or header.value_length % _BLOCK)


@dataclass(frozen=True, slots=True)
class Layers:
    """The number of layers with cells for each token, and the bytes of the others' state.

    `widest_bytes` is the state of one of them.
    """

    attention: int
    state_bytes: int = 0
    widest_bytes: int = 0


@once_per_header
def layers_of(header: ModelHeader) -> Layers:
    """Count the layers of a model by their tensors, and the bytes of the states.

    A recurrent state is 32-bit floats: the last inputs of a convolution, and a sum over all tokens.
    """
    blocks: dict[int, list[TensorInfo]] = defaultdict(list)
    for tensor in header.tensors:
        if tensor.name.startswith("blk.") and (found := _BLOCK_TENSOR.match(tensor.name)):
            blocks[int(found[1])].append(tensor)
    attention, states = 0, list[int]()
    for number in range(header.blocks - _number(header, "nextn_predict_layers")):
        names = {tensor.name.split(".", 2)[2] for tensor in blocks[number]}
        inputs = sum(map(_convolution_values, blocks[number]))
        if inputs:
            states.append((inputs + _sum_values(header)) * _FLOAT_BYTES)
        attention += bool(names & _ATTENTIONS and (_BESIDE in names or not inputs))
    return Layers(attention, sum(states), max(states)) if states else Layers(header.blocks)


def _convolution_values(tensor: TensorInfo) -> int:
    """The inputs that a convolution remembers."""
    if not tensor.name.endswith(".weight") or not any(
        f".{c}" in tensor.name for c in _CONVOLUTIONS
    ):
        return 0
    length = tensor.shape[0]
    return (length - 1) * (tensor.elements // length)


def _sum_values(header: ModelHeader) -> int:
    head = _number(header, "kda.head_dim")
    if head:
        return head * head * header.heads
    return _number(header, "ssm.state_size") * _number(header, "ssm.inner_size")


def recurrent(header: ModelHeader) -> bool:
    """Whether the model has a recurrent state of which checkpoints can be made.

    Not where a part of the cells forgets tokens too, behind a sliding window.
    """
    window = _number(header, "attention.sliding_window")
    return layers_of(header).state_bytes > 0 and not window


def draft_tokens(header: ModelHeader, rows: int) -> int:
    """The most tokens that are drafted where a pass may compute so many `rows`.

    With a recurrent state only by name: the states would displace weights that drafts seldom save.
    """
    if not layers_of(header).state_bytes:
        return rows - 1
    able = header.architecture in _ROLLBACK and recurrent(header)
    return _RECURRENT_DRAFTS if able and rows > AUTOMATIC_ROWS else 0


def state_bytes(header: ModelHeader, rows: int = 1) -> int:
    """The recurrent state, one more for each drafted token, and the checkpoints of it."""
    copies = CHECKPOINTS if recurrent(header) else 0
    return layers_of(header).state_bytes * (1 + draft_tokens(header, rows) + copies)


def compute_bytes(header: ModelHeader, settings: LoadSettings, rows: int = 1) -> int:
    """The graph's activations for one micro-batch, the attention mask, and the products' scratch.

    ggml reuses memory inside the graph, so only the widest moment counts. The `rows` of logits fit
    into the memory that the layers no longer use, except for tiny batches.
    """
    embedding, head = header.embedding, max(header.key_length, header.value_length)
    attention, attention_kv = header.heads * head, header.heads_kv * head
    experts_used = _number(header, "expert_used_count") if header.experts else 0
    expert_width = _number(header, "expert_feed_forward_length") or header.feed_forward
    feed_forward = max(header.feed_forward, experts_used * expert_width)  # of one token's experts
    # Gate, up and their product, beside the values that are alive around them.
    alive = 2 * embedding + max(attention, embedding)
    if settings.kv_type is KVType.F16:  # quantised rows are written in another order: less
        alive = max(alive, 4 * embedding)
    moments = [3 * feed_forward + alive]
    # Queries, keys and values before and after their rotation.
    if _number(header, _LATENT):  # all heads use the latent row, which is wider than a head
        latent_rows = attention + 2 * header.heads * header.value_length
        moments.append(latent_rows + 2 * (embedding if experts_used else feed_forward))
    else:
        moments.append(2 * (attention + attention_kv + embedding))
    if experts_used:  # each expert's result before and after it is weighted
        moments.append(feed_forward + (2 * experts_used + 3) * embedding)
    cells = padded(settings.context_length)
    batch = min(settings.micro_batch, cells)
    activations = batch * (max(moments) * _FLOAT_BYTES + _INPUT_BYTES)
    # Where some layers attend to a window only, there are two masks.
    windows = 2 if _number(header, "attention.sliding_window") else 1
    masks = batch * cells * _MASK_BYTES * windows
    scratch = batch * max(feed_forward, attention, embedding) * _ACTIVATION_BYTES
    if settings.kv_type is not KVType.F16:
        scratch += _ROTATION_BYTES
    # A recurrent layer's state before and after, and one more for each drafted token.
    scratch += layers_of(header).widest_bytes * (2 + draft_tokens(header, rows))
    return ceil(max(activations, rows * header.vocabulary * _FLOAT_BYTES) + masks + scratch)


def decode_compute_bytes(header: ModelHeader, settings: LoadSettings, rows: int) -> int:
    """`compute_bytes` of a decode pass over `rows` tokens with logits for each."""
    few = settings.model_copy(update={"micro_batch": min(rows, settings.micro_batch)})
    return compute_bytes(header, few, rows)


def output_bytes(header: ModelHeader, rows: int = 1) -> int:
    """`rows` rows of logits, and the sampler's list of candidates."""
    return header.vocabulary * (rows * _FLOAT_BYTES + _SORTED_BYTES)


def grammar_bytes(header: ModelHeader) -> int:
    """Memory of a grammar while it constrains an answer. No line of the bill includes it."""
    return header.vocabulary * _GRAMMAR_BYTES


def vocabulary_bytes(header: ModelHeader) -> int:
    """The tokenizer's tables, which the engine builds from the file."""
    further = max(0, header.merges - header.vocabulary) * _MERGE_BYTES
    short_bytes = (header.vocabulary + header.merges) * _SHORT_TEXT_BYTES
    long = max(0, header.vocabulary_bytes - short_bytes) * _LONG_TEXT_COPIES
    special = header.special_tokens * _SPECIAL_BYTES
    tree = header.vocabulary * _TREE_BYTES if header.tokenizer_model == "t5" else 0
    return header.vocabulary * _VOCABULARY_BYTES + further + long + special + tree


def runtime_bytes(header: ModelHeader, settings: LoadSettings) -> int:
    """The tokenizer's tables, and what the renderer takes for the template and a full context."""
    renderer = header.template_bytes * _TEMPLATE_BYTES + settings.context_length * _PROMPT_BYTES
    return vocabulary_bytes(header) + renderer


@once_per_header
def staging_bytes(header: ModelHeader) -> int:
    """The rest of the loader's read buffer, which is as large as a block's largest weight."""
    blocks = [tensor.nbytes for tensor in header.tensors if tensor.name.startswith("blk.")]
    return min(max(blocks, default=0), _STAGING_MOST_BYTES)


def buffer_bytes(header: ModelHeader, settings: LoadSettings) -> int:
    """The loader's buffer, or in its place that for a segment of a prompt which is kept on disk."""
    cells = min(_SEGMENT_CELLS, settings.context_length)
    segment_bytes = _cells_bytes(header, settings.kv_type, cells)
    return max(staging_bytes(header), segment_bytes, layers_of(header).state_bytes)


def graphics_weights(header: ModelHeader) -> list[TensorInfo]:
    """The matrices that a graphics processor multiplies: of the layers, and of no experts."""
    return [
        tensor
        for tensor in header.tensors
        if tensor.name.startswith("blk.") and len(tensor.shape) == 2 and tensor.type_name != "F32"
    ]


def graphics_bytes(header: ModelHeader, settings: LoadSettings) -> int:
    """The buffer for one of these matrices, its inputs and results for a micro-batch.

    And what the back end allocates beside it: the inputs in 16 bits.
    """
    rows = settings.micro_batch
    each = [
        tensor.nbytes + rows * (sum(tensor.shape) * _FLOAT_BYTES + tensor.shape[0] * 2)
        for tensor in graphics_weights(header)
    ]
    return max(each, default=0) + 3 * GRAPHICS_ALIGNMENT


def chunk_bytes(settings: LoadSettings) -> int:
    """The unit in which slots for streamed weights are sized; a page where chunks are disabled."""
    return settings.chunk_size_kib << 10 if settings.enable_chunk_loading else _PAGE_BYTES


def _number(header: ModelHeader, key: str) -> int:
    """An integer of the architecture's metadata, 0 where there is none."""
    value = header.metadata.get(f"{header.architecture}.{key}", 0)
    return int(value) if isinstance(value, (int, float)) else 0
