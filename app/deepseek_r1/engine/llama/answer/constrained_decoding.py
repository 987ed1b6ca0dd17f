"""Holds an answer to a schema: the thinking is sampled freely, the answer from a grammar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.llama.binding.library import Library
from deepseek_r1.engine.llama.binding.model import LlamaModel
from deepseek_r1.engine.llama.binding.sampler import Sampler
from deepseek_r1.engine.output.generation_output import GenerationOutput
from deepseek_r1.engine.output.schema import schema_grammar


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
