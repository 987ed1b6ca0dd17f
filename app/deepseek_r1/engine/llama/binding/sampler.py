"""Builds llama.cpp's sampler chain for one answer."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from deepseek_r1.core.errors import EngineFailed, WrongUsage
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.llama.binding.library import Library
from deepseek_r1.engine.llama.binding.model import LlamaModel

PENALTY_LAST_TOKENS = 64
MAX_SEED = 0xFFFFFFFE  # 0xFFFFFFFF means "random" to llama.cpp
# A share of the most likely token's probability. The tokens below it have together about a
# ten-thousandth of the probability (a test measures it), so `top_p` keeps practically the same
# tokens without them. But they are most of a vocabulary, and `top_p` computes a probability for
# each token that it gets.
NEGLIGIBLE = 1e-7
_MOST_TOP_P = 0.99  # above it, negligible tokens would matter


class Sampler:
    """Owns a sampler chain. `seed` is the one in force, also where the settings have -1."""

    def __init__(
        self,
        library: Library,
        settings: SamplingSettings,
        model: LlamaModel,
        *,
        index: int = 0,
        grammar: str = "",
    ) -> None:
        """`grammar`, in GBNF, constrains the sampled text; it must come from `output.schema`.

        `index` distinguishes several answers to one request: each gets a seed of its own. Raises
        WrongUsage for a bias of a token that does not exist, EngineFailed for a grammar that
        llama.cpp does not accept.
        """
        api = self._api = library.api
        drawn = secrets.randbelow(MAX_SEED + 1) if settings.seed < 0 else settings.seed
        self.seed = (drawn + index) % (MAX_SEED + 1)
        params = api.llama_sampler_chain_default_params()
        params.no_perf = True
        self.pointer: Any = api.llama_sampler_chain_init(params)
        if grammar:
            self._add_grammar(library, model, grammar)
        if settings.logit_bias:
            self._add_logit_bias(settings.logit_bias, model.vocabulary)
        self._add_samplers(settings, model.vocabulary)

    def _add_grammar(self, library: Library, model: LlamaModel, grammar: str) -> None:
        library.log.clear()
        sampler = self._api.llama_sampler_init_grammar(
            model.vocab, grammar.encode("utf-8"), b"root"
        )
        if not sampler:
            self.close()
            raise EngineFailed(detail=library.log.last_error() or "the grammar was not accepted")
        self._api.llama_sampler_chain_add(self.pointer, sampler)

    def _add_logit_bias(self, biases: Mapping[int, float], vocabulary: int) -> None:
        unknown = next((token for token in biases if token >= vocabulary), None)
        if unknown is not None:
            self.close()
            raise WrongUsage(detail=tr("logit_bias: the model has no token {id}.", id=unknown))
        entries = [self._api.llama_logit_bias(token, bias) for token, bias in biases.items()]
        array = (self._api.llama_logit_bias * len(entries))(*entries)
        sampler = self._api.llama_sampler_init_logit_bias(vocabulary, len(entries), array)
        self._api.llama_sampler_chain_add(self.pointer, sampler)

    def _add_samplers(self, settings: SamplingSettings, vocabulary: int) -> None:
        api = self._api

        def add(sampler: Any) -> None:
            api.llama_sampler_chain_add(self.pointer, sampler)

        if settings.repeat_penalty > 1.0:
            add(
                api.llama_sampler_init_penalties(
                    vocabulary, PENALTY_LAST_TOKENS, settings.repeat_penalty, 0.0, 0.0
                )
            )
        if settings.presence_penalty or settings.frequency_penalty:
            add(
                api.llama_sampler_init_penalties(
                    vocabulary,
                    settings.max_tokens,  # the whole answer
                    1.0,
                    settings.frequency_penalty,
                    settings.presence_penalty,
                )
            )
        if settings.temperature == 0.0:
            add(api.llama_sampler_init_greedy())
            return
        if settings.top_k > 0:
            add(api.llama_sampler_init_top_k(settings.top_k))
        elif settings.top_p <= _MOST_TOP_P:
            add(api.llama_sampler_init_min_p(NEGLIGIBLE, 1))
        if settings.top_p < 1.0:
            add(api.llama_sampler_init_top_p(settings.top_p, 1))
        if settings.min_p > 0.0:
            add(api.llama_sampler_init_min_p(settings.min_p, 1))
        add(api.llama_sampler_init_temp(settings.temperature))
        add(api.llama_sampler_init_dist(self.seed))

    def accept(self, tokens: Sequence[int]) -> None:
        """Count tokens of the answer that were not sampled here, for the penalties."""
        for token in tokens:
            self._api.llama_sampler_accept(self.pointer, token)

    def close(self) -> None:
        """Free the chain and the samplers in it."""
        if self.pointer is not None:
            self._api.llama_sampler_free(self.pointer)
            self.pointer = None
