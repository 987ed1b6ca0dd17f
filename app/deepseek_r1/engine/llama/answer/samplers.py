"""The samplers of one answer: llama.cpp's chain, and a second one that holds it to a schema."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from deepseek_r1.core.errors import EngineFailed, WrongUsage
from deepseek_r1.core.events import TokenLogprob
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.llama.binding.library import Library
from deepseek_r1.engine.llama.binding.model import LlamaModel
from deepseek_r1.engine.output.generation_output import GenerationOutput
from deepseek_r1.engine.output.schema import schema_grammar

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


class SamplerPair:
    """The samplers of one answer; `chain` is the one to use for the next token.

    Without a schema there is only the free sampler. With one, a model that is thinking, or begins
    to, uses the free sampler until its thinking ends; from then on the answer is constrained.

    While `first_token_decides`, pass the first token to `on_first_token`. While `until_answer`,
    pass the output to `on_output` after each token.
    """

    def __init__(
        self,
        library: Library,
        sampling: SamplingSettings,
        model: LlamaModel,
        context: Any,
        json_schema: str,
        *,
        thinking_open: bool,
        reasons: bool,
        index: int = 0,
    ) -> None:
        """`context` is the pointer of the context whose logits are sampled.

        `thinking_open`: the prompt opened a thinking block. `reasons`: the model may open one.
        `index` distinguishes several answers to one request.

        Raises WrongUsage for a schema that no grammar can express, EngineFailed.
        """
        self._sample, self._context = library.api.llama_sampler_sample, context
        grammar = schema_grammar(json_schema) if json_schema else ""
        self._thinking_tags = model.thinking_tags
        self._free = Sampler(library, sampling, model, index=index)
        self.seed = self._free.seed
        self._constrained: Sampler | None = None
        if grammar:
            same = sampling.model_copy(update={"seed": self.seed})
            self._constrained = Sampler(library, same, model, grammar=grammar)
        self._logprobs = (
            LogprobReader(library, model, context, sampling) if sampling.logprobs else None
        )
        constrained = self._constrained is not None
        self.first_token_decides = constrained and reasons and not thinking_open
        self.until_answer = constrained and (reasons or thinking_open)
        self.chain: Any = self._free.pointer
        if not self.until_answer:
            self._use_constrained()

    @property
    def constrains(self) -> bool:
        """Whether the next token is sampled from the grammar."""
        return self._constrained is not None and self.chain == self._constrained.pointer

    def sample(self, row: int) -> int:
        """Sample from the logits of an output row; -1 is the last."""
        token: int = self._sample(self.chain, self._context, row)
        return token

    def logprob(self, token: int, row: int) -> TokenLogprob | None:
        """Return the log probability of a token sampled from this row, where it is wanted."""
        return self._logprobs.read(token, row) if self._logprobs is not None else None

    def accept(self, tokens: Sequence[int]) -> None:
        """Count tokens that were not sampled as recent ones, before the answer is constrained."""
        self._free.accept(tokens)

    def on_first_token(self, token: int) -> bool:
        """Return whether the answer's first token opens a thinking block.

        If it does not, the token has to be sampled again, with the constrained sampler.
        """
        self.first_token_decides = False
        if token in self._thinking_tags:
            return True
        self._use_constrained()
        return False

    def on_output(self, output: GenerationOutput) -> None:
        """Switch to the constrained sampler if the thinking is over."""
        if output.answering:
            self._use_constrained()

    def _use_constrained(self) -> None:
        self.until_answer = False
        if self._constrained is not None:
            self.chain = self._constrained.pointer

    def close(self) -> None:
        """Free the samplers."""
        self._free.close()
        if self._constrained is not None:
            self._constrained.close()


class LogprobReader:
    """Reads log probabilities from the logits of a context, after a token was sampled.

    For the computing thread. It alone imports numpy, at its first use.
    """

    def __init__(
        self, library: Library, model: LlamaModel, context: Any, sampling: SamplingSettings
    ) -> None:
        """`context` is llama.cpp's pointer."""
        self._api, self._model, self._context = library.api, model, context
        self._top = sampling.top_logprobs

    def read(self, token: int, row: int) -> TokenLogprob:
        """Return a token's log probability from row `row` of the last computation's logits."""
        import numpy as np  # noqa: PLC0415 - 20 MiB, for answers that want it

        pointer = self._api.llama_get_logits_ith(self._context, row)
        logits = np.ctypeslib.as_array(pointer, (self._model.vocabulary,)).astype(np.float64)
        highest = logits.max()
        logprobs = logits - (highest + np.log(np.exp(logits - highest).sum()))
        most = np.argpartition(-logprobs, self._top)[: self._top]
        top = tuple(
            self._entry(each, logprobs[each])
            for each in sorted(map(int, most), key=lambda at: -logprobs[at])
        )
        return self._entry(token, logprobs[token]).model_copy(update={"top": top})

    def _entry(self, token: int, logprob: float) -> TokenLogprob:
        text = self._model.piece(token)
        return TokenLogprob(token=token, data=tuple(text), logprob=float(logprob))
