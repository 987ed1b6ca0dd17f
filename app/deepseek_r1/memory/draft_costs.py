"""The memory of a draft model or of an EAGLE-3 head: its line of the bill."""

from __future__ import annotations

from deepseek_r1.core.settings import KVType, LoadSettings
from deepseek_r1.formats.eagle3 import HeadFacts, head_facts
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.hardware import packs_weights
from deepseek_r1.memory import cost_model
from deepseek_r1.memory.plan import DRAFT_TOKENS

DRAFT_BATCH = 128  # tokens that a draft model computes at once
DRAFT_KV_TYPE = KVType.Q8_0
HEAD_BATCH = 8  # tokens that a head computes at once: each has a row of logits
FEATURE_ROWS = 2 + DRAFT_TOKENS  # kept for a head: those of a pass, and the one before it
# Measured: a 1.5B with a 0.5B of its family, greedy, four tokens drafted at a time: 4.2 for
# step-by-step arithmetic, 2.7 for chat, 2.3 for Chinese. The least of them is promised.
EXPECTED_TOKENS_PER_PASS = 2.3
EXPECTED_DRAFT_TOKENS = 4
_MOST_CELLS = 2048  # a draft model sees so much of the conversation's end
_MIB = 1 << 20
_FLOAT_BYTES = 4


def draft_cells(context_length: int) -> int:
    """The cells of a draft model's cache, for a target's context length; 0 is automatic."""
    return min(_MOST_CELLS, context_length or _MOST_CELLS)


def draft_mib(header: ModelHeader, settings: LoadSettings) -> float:
    """All memory that drafting with a model or a head takes, for the target's `settings`."""
    facts = head_facts(header)
    if facts is not None:
        return _head_mib(header, facts, settings)
    own = _own(settings, DRAFT_BATCH, DRAFT_KV_TYPE)
    vocabulary_map = cost_model.vocabulary_bytes(header)
    return (_model_bytes(header, own) + vocabulary_map) / _MIB


def _head_mib(header: ModelHeader, facts: HeadFacts, settings: LoadSettings) -> float:
    """A head beside its target, whose graph keeps the features until its end."""
    own = _own(settings, HEAD_BATCH, KVType.F16)
    logits = HEAD_BATCH * (header.vocabulary + facts.outputs) * _FLOAT_BYTES
    return (
        (_model_bytes(header, own) + logits) / _MIB
        + 2 * feature_mib(facts, settings.micro_batch)
        + state_mib(header.embedding, header.vocabulary)
    )


def feature_mib(facts: HeadFacts, micro_batch: int) -> float:
    """The features of the target's largest batch, and the head's copy of the newest."""
    values = len(facts.layers) * facts.target_width
    return (micro_batch + FEATURE_ROWS) * values * _FLOAT_BYTES / _MIB


def state_mib(width: int, vocabulary: int) -> float:
    """The outputs of a head's batch, beyond one row of logits, and its copy of the states."""
    return HEAD_BATCH * (2 * width + vocabulary) * _FLOAT_BYTES / _MIB


def _own(settings: LoadSettings, batch: int, kv_type: KVType) -> LoadSettings:
    """The settings of a draft model's own context."""
    length = draft_cells(settings.context_length)
    return settings.model_copy(
        update={"context_length": length, "micro_batch": batch, "kv_type": kv_type}
    )


def _model_bytes(header: ModelHeader, own: LoadSettings) -> int:
    """The weights, cache, buffers and vocabulary of a model with its `own` settings."""
    return (
        cost_model.weights_bytes(header, packed=packs_weights())
        + cost_model.kv_cache_bytes(header, own)
        + cost_model.compute_bytes(header, own)
        + cost_model.output_bytes(header)
        + cost_model.vocabulary_bytes(header)
    )
