"""llama.cpp as it comes, for asking what a file computes: exact, one thread, nothing of ours."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepseek_r1.engine.llama.binding.library import library


class PlainLlama:
    """One model with one context, its keys and values in float32."""

    def __init__(self, path: Path, context: int = 512) -> None:
        self.api = library().api
        params = self.api.llama_model_default_params()
        params.use_extra_bufts = False
        self.model = self.api.llama_model_load_from_file(str(path).encode(), params)
        assert self.model, f"llama.cpp does not open {path}"
        options = self.api.llama_context_default_params()
        options.n_ctx = options.n_batch = options.n_ubatch = context
        options.n_threads = options.n_threads_batch = 1
        options.type_k = options.type_v = self.api.GGML_TYPE_F32
        options.flash_attn_type = 0
        self.context = self.api.llama_init_from_model(self.model, options)
        assert self.context
        self.vocab = self.api.llama_model_get_vocab(self.model)
        self.vocabulary = self.api.llama_vocab_n_tokens(self.vocab)

    def __enter__(self) -> PlainLlama:
        return self

    def __exit__(self, *_error: object) -> None:
        self.api.llama_free(self.context)
        self.api.llama_model_free(self.model)

    def logits(self, tokens: Sequence[int]) -> np.ndarray:
        """Of every position, shape (tokens, vocabulary)."""
        count = len(tokens)
        batch = self.api.llama_batch_init(count, 0, 1)
        batch.n_tokens = count
        for n, token in enumerate(tokens):
            batch.token[n], batch.pos[n] = token, n
            batch.n_seq_id[n], batch.seq_id[n][0], batch.logits[n] = 1, 0, 1
        self.api.llama_memory_clear(self.api.llama_get_memory(self.context), True)
        assert self.api.llama_decode(self.context, batch) == 0
        pointer = self.api.llama_get_logits(self.context)
        found = np.ctypeslib.as_array(pointer, shape=(count, self.vocabulary)).copy()
        self.api.llama_batch_free(batch)
        return found

    def tokens(self, text: str) -> list[int]:
        """Of a text in which special tokens count, begin and end added as the file says."""
        raw = text.encode()
        room = len(raw) + 16
        ids = (ctypes.c_int32 * room)()
        count = self.api.llama_tokenize(self.vocab, raw, len(raw), ids, room, True, True)
        assert count >= 0
        return list(ids[:count])
