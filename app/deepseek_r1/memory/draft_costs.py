"""The memory of a draft model: its line of the bill."""

from __future__ import annotations

from deepseek_r1.core.settings import KVType, LoadSettings
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.hardware import packs_weights
from deepseek_r1.memory import cost_model

DRAFT_BATCH = 128  # tokens that a draft model computes at once
# Measured: a 1.5B with a 0.5B of its family, greedy, four tokens drafted at a time: 4.2 for
# step-by-step arithmetic, 2.7 for chat, 2.3 for Chinese. The least of them is promised.
EXPECTED_TOKENS_PER_PASS = 2.3
EXPECTED_DRAFT_TOKENS = 4
_MOST_CELLS = 2048  # a draft model sees so much of the conversation's end
_BLOCK = 32  # values of q8_0
_MIB = 1 << 20


def draft_kv_type(header: ModelHeader) -> KVType:
    """The precision of a draft model's cache: q8_0 where its blocks divide the heads."""
    whole = header.key_length % _BLOCK == header.value_length % _BLOCK == 0
    return KVType.Q8_0 if whole else KVType.F16


def draft_cells(context_length: int) -> int:
    """The cells of a draft model's cache, for a target's context length; 0 is automatic."""
    return min(_MOST_CELLS, context_length or _MOST_CELLS)


def draft_mib(header: ModelHeader, settings: LoadSettings) -> float:
    """All memory that a draft model takes, for the target's `settings`."""
    own = settings.model_copy(
        update={
            "context_length": draft_cells(settings.context_length),
            "micro_batch": DRAFT_BATCH,
            "kv_type": draft_kv_type(header),
        }
    )
    vocabulary_bytes = cost_model.vocabulary_bytes(header)
    return (
        cost_model.weights_bytes(header, packed=packs_weights())
        + cost_model.kv_cache_bytes(header, own)
        + cost_model.compute_bytes(header, own)
        + cost_model.output_bytes(header)
        + 2 * vocabulary_bytes  # with the translation of its tokens
    ) / _MIB
