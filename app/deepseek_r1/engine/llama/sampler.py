"""How the next token is chosen: llama.cpp's chain of samplers, set up for one answer."""

from __future__ import annotations

import secrets
from typing import Any

from deepseek_r1.core.errors import EngineFailed
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.llama.library import Library
from deepseek_r1.engine.llama.model import LlamaModel

PENALTY_LAST_TOKENS = 64
MAX_SEED = 0xFFFFFFFE  # 0xFFFFFFFF means "random" to llama.cpp
# Of the likeliest token's chance. The tokens under it have together about a ten-thousandth of all
# chances (a test measures it): what `top_p` keeps of the others is as good as what it would of all.
# But they are most of a vocabulary, and `top_p` computes a chance for each that it is given.
HOPELESS = 1e-7
_MOST_TOP_P = 0.99  # beyond, what is hopeless would matter


class Sampler:
    """Owns a sampler chain. `seed` is the one in force, also where the settings asked for -1."""

    def __init__(
        self,
        library: Library,
        settings: SamplingSettings,
        model: LlamaModel,
        *,
        index: int = 0,
        grammar: str = "",
    ) -> None:
        """`grammar`, in GBNF, is what the sampled text is held to; it must be one of ours.

        `index` tells apart several answers to one request: each gets a seed of its own.
        Raises EngineFailed for a grammar that llama.cpp does not take.
        """
        api = self._api = library.api
        drawn = secrets.randbelow(MAX_SEED + 1) if settings.seed < 0 else settings.seed
        self.seed = (drawn + index) % (MAX_SEED + 1)
        params = api.llama_sampler_chain_default_params()
        params.no_perf = True
        self.pointer: Any = api.llama_sampler_chain_init(params)
        if grammar:
            self._hold(library, model, grammar)
        self._fill(settings, model.vocabulary)

    def _hold(self, library: Library, model: LlamaModel, grammar: str) -> None:
        library.log.clear()
        held = self._api.llama_sampler_init_grammar(model.vocab, grammar.encode("utf-8"), b"root")
        if not held:
            self.close()
            raise EngineFailed(detail=library.log.last_error() or "the grammar was not taken")
        self._api.llama_sampler_chain_add(self.pointer, held)

    def _fill(self, settings: SamplingSettings, vocabulary: int) -> None:
        api = self._api

        def add(sampler: Any) -> None:
            api.llama_sampler_chain_add(self.pointer, sampler)

        if settings.repeat_penalty > 1.0:
            add(
                api.llama_sampler_init_penalties(
                    vocabulary, PENALTY_LAST_TOKENS, settings.repeat_penalty, 0.0, 0.0
                )
            )
        if settings.temperature == 0.0:
            add(api.llama_sampler_init_greedy())
            return
        if settings.top_k > 0:
            add(api.llama_sampler_init_top_k(settings.top_k))
        elif settings.top_p <= _MOST_TOP_P:
            add(api.llama_sampler_init_min_p(HOPELESS, 1))
        if settings.top_p < 1.0:
            add(api.llama_sampler_init_top_p(settings.top_p, 1))
        if settings.min_p > 0.0:
            add(api.llama_sampler_init_min_p(settings.min_p, 1))
        add(api.llama_sampler_init_temp(settings.temperature))
        add(api.llama_sampler_init_dist(self.seed))

    def close(self) -> None:
        """Free the chain and the samplers in it."""
        if self.pointer is not None:
            self._api.llama_sampler_free(self.pointer)
            self.pointer = None
