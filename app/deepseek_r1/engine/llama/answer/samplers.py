"""The samplers of one answer: llama.cpp's chain, and a second one that holds it to a schema."""

import math
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deepseek_r1.core.errors import EngineFailed, WrongUsage
from deepseek_r1.core.events import TokenLogprob
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.llama.binding.library import Library
from deepseek_r1.engine.llama.binding.model import LlamaModel
from deepseek_r1.engine.output.generation_output import GenerationOutput
from deepseek_r1.engine.output.schema import schema_grammar
from deepseek_r1.native.native_library import native
from deepseek_r1.weights.ggml.tensor_layout import address_of

PENALTY_LAST_TOKENS = 64
MAX_SEED = 0xFFFFFFFE  # 0xFFFFFFFF means "random" to llama.cpp
# A share of the most likely token's probability. The tokens below it have together about a
# ten-thousandth of the probability (a test measures it), so `top_p` keeps practically the same
# tokens without them. But they are most of a vocabulary, and `top_p` computes a probability for
# each token that it gets.
NEGLIGIBLE = 1e-7
_MOST_TOP_P = 0.99  # above it, negligible tokens would matter


def required(token: int) -> int:
    """Return a sampled token. Raises EngineFailed for -1: the grammar left none."""
    if token < 0:
        raise EngineFailed(detail="the schema leaves no token of the model's vocabulary")
    return token


class SamplerPair:
    """The sampler chains of one answer; `chain` is the one to use for the next token.

    Without a schema there is only the free one. With one, a model that is thinking, or begins to,
    uses the free one until its thinking ends; from then on the answer is constrained.

    While `until_answer`, pass the output to `on_output` after each token.
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
        `index` distinguishes several answers to one request: each gets a seed of its own.

        Raises WrongUsage for a schema that no grammar can express and for a bias of a token that
        does not exist, EngineFailed for a grammar that llama.cpp does not accept.
        """
        self._library, self._api, self._native = library, library.api, native()
        self._function = address_of(library.api.llama_sampler_sample)
        self._model, self._context, self._sampling = model, context, sampling
        grammar = schema_grammar(json_schema) if json_schema else ""
        drawn = secrets.randbelow(MAX_SEED + 1) if sampling.seed < 0 else sampling.seed
        self.seed = (drawn + index) % (MAX_SEED + 1)
        """The one in force, also where the settings have -1."""
        self._chains: list[Any] = []
        try:
            self.chain: Any = self._add_chain("")
            self._constrained: Any = self._add_chain(grammar) if grammar else None
        except BaseException:
            self.close()
            raise
        constrained = self._constrained is not None
        self._first_token_decides = constrained and reasons and not thinking_open
        self.until_answer = constrained and (reasons or thinking_open)
        if not self.until_answer:
            self._use_constrained()

    def _add_chain(self, grammar: str) -> Any:
        params = self._api.llama_sampler_chain_default_params()
        params.no_perf = True
        chain = self._api.llama_sampler_chain_init(params)
        self._chains.append(chain)
        if grammar:
            self._api.llama_sampler_chain_add(chain, self._grammar(grammar))
        for sampler in self._samplers(self._sampling):
            self._api.llama_sampler_chain_add(chain, sampler)
        return chain

    def _grammar(self, grammar: str) -> Any:
        self._library.log.clear()
        init = self._api.llama_sampler_init_grammar
        if not (sampler := init(self._model.vocab, grammar.encode("utf-8"), b"root")):
            detail = self._library.log.last_error() or "the grammar was not accepted"
            raise EngineFailed(detail=detail)
        return sampler

    def _logit_bias(self, biases: Mapping[int, float], vocabulary: int) -> Any:
        unknown = next((token for token in biases if token >= vocabulary), None)
        if unknown is not None:
            raise WrongUsage(detail=tr("logit_bias: the model has no token {id}.", id=unknown))
        entries = [self._api.llama_logit_bias(token, bias) for token, bias in biases.items()]
        array = (self._api.llama_logit_bias * len(entries))(*entries)
        return self._api.llama_sampler_init_logit_bias(vocabulary, len(entries), array)

    def _samplers(self, settings: SamplingSettings) -> Iterator[Any]:
        api, vocabulary = self._api, self._model.vocabulary
        penalties = api.llama_sampler_init_penalties
        if settings.logit_bias:
            yield self._logit_bias(settings.logit_bias, vocabulary)
        if (repeat := settings.repeat_penalty) > 1.0:
            yield penalties(vocabulary, PENALTY_LAST_TOKENS, repeat, 0.0, 0.0)
        frequency, presence = settings.frequency_penalty, settings.presence_penalty
        if presence or frequency:  # in the whole answer
            yield penalties(vocabulary, settings.max_tokens, 1.0, frequency, presence)
        if settings.temperature == 0.0:
            yield api.llama_sampler_init_greedy()
            return
        if settings.top_k > 0:
            yield api.llama_sampler_init_top_k(settings.top_k)
        elif settings.top_p <= _MOST_TOP_P:
            yield api.llama_sampler_init_min_p(NEGLIGIBLE, 1)
        if settings.top_p < 1.0:
            yield api.llama_sampler_init_top_p(settings.top_p, 1)
        if settings.min_p > 0.0:
            yield api.llama_sampler_init_min_p(settings.min_p, 1)
        yield api.llama_sampler_init_temp(settings.temperature)
        yield api.llama_sampler_init_dist(self.seed)

    @property
    def constrains(self) -> bool:
        return self._constrained is not None and self.chain is self._constrained

    def sample(self, row: int) -> int:
        """Sample from the logits of an output row; -1 is the last.

        If the first token opens no thinking block, it is sampled again by the constrained sampler.
        Raises EngineFailed where the grammar leaves no token.
        """
        token = self._sample(row)
        if self._first_token_decides:
            self._first_token_decides = False
            if token not in self._model.thinking_tags:
                self._use_constrained()
                token = self._sample(row)
        return token

    def _sample(self, row: int) -> int:
        sample, function = self._native.sample_token_or_none, self._function
        return required(sample(function, self.chain, self._context, row))

    def rule_out(self, token: int, row: int) -> None:
        self._api.llama_get_logits_ith(self._context, row)[token] = -math.inf

    def logprob(self, token: int, row: int) -> TokenLogprob | None:
        """Return the log probability of a token sampled from this row, where it is wanted."""
        if not self._sampling.logprobs:
            return None
        import numpy as np  # noqa: PLC0415 - 20 MiB, for answers that want it

        pointer = self._api.llama_get_logits_ith(self._context, row)
        logits = np.ctypeslib.as_array(pointer, (self._model.vocabulary,)).astype(np.float64)
        highest, count = logits.max(), self._sampling.top_logprobs
        logprobs = logits - (highest + np.log(np.exp(logits - highest).sum()))
        most = np.argpartition(-logprobs, count)[:count]
        top = tuple(
            self._entry(each, logprobs[each])
            for each in sorted(map(int, most), key=lambda at: -logprobs[at])
        )
        return self._entry(token, logprobs[token]).model_copy(update={"top": top})

    def _entry(self, token: int, logprob: float) -> TokenLogprob:
        text = self._model.piece(token)
        return TokenLogprob(token=token, data=tuple(text), logprob=float(logprob))

    def accept(self, tokens: Sequence[int]) -> None:
        """Count tokens that were not sampled as recent ones, before the answer is constrained."""
        for token in tokens:
            self._api.llama_sampler_accept(self._chains[0], token)

    def on_output(self, output: GenerationOutput) -> None:
        """Switch to the constrained sampler if the thinking is over."""
        if output.answering:
            self._use_constrained()

    def _use_constrained(self) -> None:
        self.until_answer = False
        if self._constrained is not None:
            self.chain = self._constrained

    def close(self) -> None:
        while self._chains:
            self._api.llama_sampler_free(self._chains.pop())
