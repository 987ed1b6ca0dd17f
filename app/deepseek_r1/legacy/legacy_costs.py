"""Estimates the memory of a model in an old file, as ctransformers 0.2.27 loads it.

Rougher than `memory.cost_model`: that library allocates buffers of fixed sizes and uses only parts
of them.
"""

from typing import Final

from deepseek_r1.core.events import BillItem
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.formats.header import GGUF, ModelHeader
from deepseek_r1.legacy.ggml_layouts import ACTIVATIONS, BUFFER_SHARE, ENGINE_BUFFER_BYTES, SCORES

BATCH: Final = 8  # tokens of a prompt; the library's own default
_MIB: Final = 1 << 20
_FULL_CONTEXT: Final = frozenset({"gpt2", "starcoder", "gptj", "gptneox", "dolly-v2", "replit"})
_WIDE_CACHE: Final = frozenset({"gpt2", "starcoder"})  # their cache holds 32-bit numbers
_COPIED_VALUES: Final = frozenset({"gpt2", "replit"})
_TOKEN_BYTES: Final = 230  # of two maps, from a token's text to its id and back
_CANDIDATE_BYTES: Final = 20  # a token's logit, and its entry among the candidates
_WORKSPACE_MIB: Final = 32.0  # the LLaMA and Falcon families' scratch, as far as it is used


def weights_mib(header: ModelHeader) -> float:
    """All tensors, and GPT-2's embedding a second time where it is the output as well."""
    total = sum(tensor.nbytes for tensor in header.tensors)
    if not header.has_output:
        total += sum(t.nbytes for t in header.tensors if t.name == "model/wte")
    return total / _MIB


def fixed_mib(header: ModelHeader, settings: LoadSettings) -> dict[BillItem, float]:
    """All lines of the bill that depend on the file, except its weights."""
    return {
        BillItem.KV_CACHE: _cache_bytes(header, settings) / _MIB,
        BillItem.COMPUTE: _compute_mib(header, settings),
        BillItem.OUTPUT: header.vocabulary * _CANDIDATE_BYTES / _MIB,
        BillItem.RUNTIME: header.vocabulary * _TOKEN_BYTES / _MIB,
    }


def batch_at(header: ModelHeader, past: int) -> int:
    """The largest batch after `past` tokens.

    The GPT families compute inside one buffer, and the process aborts where that is too small.
    """
    if header.container == GGUF or header.architecture in ("llama", "falcon"):
        return BATCH
    free_bytes = BUFFER_SHARE * ENGINE_BUFFER_BYTES - _values_bytes(header, past + BATCH)
    return max(1, min(BATCH, int(free_bytes / _token_bytes(header, past + BATCH))))


def _cache_bytes(header: ModelHeader, settings: LoadSettings) -> int:
    full = header.architecture in _FULL_CONTEXT
    file_context = header.metadata.get("n_ctx", 0)
    tokens = int(str(file_context)) if full else settings.context_length
    return 2 * header.blocks * tokens * _values_width(header)


def _values_width(header: ModelHeader) -> int:
    """Bytes of one token's keys in one block."""
    number_bytes = 4 if header.architecture in _WIDE_CACHE else 2
    return header.heads_kv * header.key_length * number_bytes


def _compute_mib(header: ModelHeader, settings: LoadSettings) -> float:
    if header.container == GGUF or header.architecture in ("llama", "falcon"):
        return _WORKSPACE_MIB
    context = min(settings.context_length, header.context_trained)
    used = BATCH * _token_bytes(header, context) + _values_bytes(header, context)
    return min(used, ENGINE_BUFFER_BYTES) / _MIB


def _token_bytes(header: ModelHeader, context: int) -> int:
    """Bytes of the activations of one token after `context` others, in all blocks."""
    numbers = ACTIVATIONS * header.embedding + SCORES * header.heads * context
    return 4 * (header.blocks * numbers + header.vocabulary)


def _values_bytes(header: ModelHeader, context: int) -> int:
    """Bytes of the copies of all past values that some families make for each computation."""
    if header.architecture not in _COPIED_VALUES:
        return 0
    return header.blocks * context * _values_width(header)
