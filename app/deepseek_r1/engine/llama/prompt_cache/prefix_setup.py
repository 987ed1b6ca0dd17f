"""Connects a loaded model's context to the prompt cache on disk."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable

from deepseek_r1.core import log
from deepseek_r1.engine.llama.binding.context import LlamaContext
from deepseek_r1.engine.llama.binding.library import Library
from deepseek_r1.engine.llama.binding.model import LlamaModel
from deepseek_r1.engine.llama.prompt_cache.fingerprint import Facts, fingerprint
from deepseek_r1.engine.llama.prompt_cache.prefix_cache import PrefixCache
from deepseek_r1.engine.llama.prompt_cache.snapshot import SequenceSnapshot
from deepseek_r1.engine.protocol.base import OpenRequest
from deepseek_r1.hardware import cpu
from deepseek_r1.memory.cost_model import kv_cache_bytes, padded

_ROPE_BY_LENGTH = "rope_factors_long"  # of models whose rotation depends on the context's length


def prefix_cache(
    library: Library,
    request: OpenRequest,
    model: LlamaModel,
    context: LlamaContext,
    *,
    reserve: Callable[[int], None],
    poll: Callable[[], None],
) -> PrefixCache | None:
    """Return the cache of a new context; None without a folder, or if its state cannot be cut."""
    header = request.header
    if request.prompt_cache is None:
        return None
    if not model.can_truncate or has_window(request):
        log.engine.info("prompts of %s are not kept on disk: its memory has no ends", header.name)
        return None
    cells = padded(request.settings.context_length)
    return PrefixCache(
        request.prompt_cache,
        fingerprint(header, _facts(library, request, context)),
        context,
        SequenceSnapshot(library.api, context.pointer, context.params.snapshot_sequence),
        cell_bytes=2 * kv_cache_bytes(header, request.settings) // cells,
        reserve=reserve,
        poll=poll,
    )


def has_window(request: OpenRequest) -> bool:
    """Return whether some layers attend to a window of the context only."""
    header = request.header
    return bool(header.metadata.get(f"{header.architecture}.attention.sliding_window", 0))


def _facts(library: Library, request: OpenRequest, context: LlamaContext) -> Facts:
    """Return everything that a state depends on, except for the model's file."""
    header, settings = request.header, request.settings
    by_length = any(_ROPE_BY_LENGTH in tensor.name for tensor in header.tensors)
    return {
        "llama.cpp": library.name,
        "build": library.build,
        "state": int(library.api.LLAMA_STATE_SEQ_VERSION),
        "machine": f"{sys.platform} {platform.machine()} {sys.byteorder} {cpu().name}",
        "kv_type": settings.kv_type.value,
        "flash_attention": library.log.flash_attention(),
        "kernels": context.kernels_name,
        "rotation_disabled": os.environ.get("LLAMA_ATTN_ROT_DISABLE", ""),
        "unified": True,
        "repacked": request.residency is None,
        "context": settings.context_length if by_length else 0,
        "architecture": header.architecture,
        "vocabulary": header.vocabulary,
    }
