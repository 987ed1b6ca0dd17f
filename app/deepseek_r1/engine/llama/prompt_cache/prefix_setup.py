"""Connects a loaded model's context to the prompt cache on disk."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

from deepseek_r1.core import log
from deepseek_r1.engine.interface import OpenRequest
from deepseek_r1.engine.llama.binding.context import LlamaContext
from deepseek_r1.engine.llama.binding.library import Library
from deepseek_r1.engine.llama.binding.model import LlamaModel
from deepseek_r1.engine.llama.computing import Computing
from deepseek_r1.engine.llama.prompt_cache.checkpoint_cache import CheckpointCache
from deepseek_r1.engine.llama.prompt_cache.prefix_cache import PrefixCache
from deepseek_r1.engine.llama.prompt_cache.segment import ID_BYTES, drop_from_page_cache
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.hardware import cpu
from deepseek_r1.memory.cost_model import kv_cache_bytes, layers_of, padded

_ROPE_BY_LENGTH = "rope_factors_long"  # of models whose rotation depends on the context's length


def prefix_cache(
    library: Library, request: OpenRequest, model: LlamaModel, computing: Computing
) -> PrefixCache | None:
    """Return the cache of a new context; None without a folder, or if its state cannot be cut."""
    header = request.header
    if request.prompt_cache is None:
        return None
    # With a window some layers attend to a part of the context only.
    window = header.metadata.get(f"{header.architecture}.attention.sliding_window", 0)
    if not (model.can_truncate or computing.context.params.recurrent) or window:
        log.engine.info("prompts of %s are not kept on disk: its memory has no ends", header.name)
        return None
    cells = padded(request.settings.context_length)
    root = fingerprint(header, _facts(library, request, computing.context))
    cell_bytes = 2 * kv_cache_bytes(header, request.settings) // cells
    prefixes = PrefixCache(request.prompt_cache, root, computing, library.api, cell_bytes)
    if (checkpoints := computing.context.checkpoints) is not None:
        state_bytes = layers_of(header).state_bytes
        prefixes.points = CheckpointCache(
            request.prompt_cache, root, computing.context, checkpoints, state_bytes
        )
    return prefixes


def _facts(library: Library, request: OpenRequest, context: LlamaContext) -> Facts:
    """Return everything that a state depends on, except for the model's file."""
    header, settings = request.header, request.settings
    by_length = any(_ROPE_BY_LENGTH in tensor.name for tensor in header.tensors)
    # With states to go back to, a recurrent state is computed by another operation.
    rollback = {"rollback": context.params.draft_tokens} if context.params.recurrent else {}
    return rollback | {
        "llama.cpp": library.name,
        "build": library.build,
        "state": int(library.api.LLAMA_STATE_SEQ_VERSION),
        "machine": f"{sys.platform} {platform.machine()} {sys.byteorder} {cpu().name}",
        "kv_type": settings.kv_type.value,
        "flash_attention": library.log.flash_attention(),
        "kernels": context.kernels_name,
        "rotation_disabled": os.environ.get("LLAMA_ATTN_ROT_DISABLE", ""),
        "unified": True,
        "repacked": request.repacks,
        "context": settings.context_length if by_length else 0,
        "architecture": header.architecture,
        "vocabulary": header.vocabulary,
    }


_SAMPLES, _SAMPLE_BYTES = 64, 4096  # of tensors' data
_READ_BYTES = 1 << 20
_PERSON = b"r1 kv root"

Facts = Mapping[str, str | int | float | bool | None]


def fingerprint(header: ModelHeader, facts: Facts) -> bytes:
    """Hash all that a saved state depends on: the model's file, and `facts`. Raises OSError.

    llama.cpp loads the state of any model of the same shape: it cannot distinguish Qwen2.5-7B's
    from R1-Distill-Qwen-7B's.

    The hash covers all bytes before the first tensor (metadata, vocabulary, table of tensors),
    samples of the tensors' data, the file's size, and its modification time.
    """
    hashed = hashlib.blake2b(digest_size=ID_BYTES, person=_PERSON)
    hashed.update(json.dumps(facts, sort_keys=True).encode())
    for number, part in enumerate(header.parts):
        _add_part(hashed, header, number, part)
    return hashed.digest()


def _add_part(hashed: hashlib.blake2b, header: ModelHeader, number: int, path: Path) -> None:
    tensors = [tensor for tensor in header.tensors if tensor.part == number]
    with path.open("rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        hashed.update(f"{number} {status.st_size} {status.st_mtime_ns} ".encode())
        left = min((tensor.offset for tensor in tensors), default=status.st_size)
        while left > 0 and (data := file.read(min(left, _READ_BYTES))):
            hashed.update(data)
            left -= len(data)
        for tensor in tensors[:: max(1, len(tensors) // _SAMPLES)]:
            file.seek(tensor.offset + max(0, tensor.nbytes - _SAMPLE_BYTES) // 2)
            hashed.update(file.read(min(tensor.nbytes, _SAMPLE_BYTES)) or b"")
        drop_from_page_cache(file.fileno())
