"""Which sampler writes: a free one for the thinking, one held to a schema for the answer."""

from __future__ import annotations

from typing import Any

from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.answer import AnswerWriter
from deepseek_r1.engine.llama.library import Library
from deepseek_r1.engine.llama.model import LlamaModel
from deepseek_r1.engine.llama.sampler import Sampler
from deepseek_r1.engine.schema import grammar_of


class Pens:
    """The samplers of one answer; `chain` is the one to use for the next token.

    While `undecided`, ask `thinks`; while `waiting` for the end of the thinking, `turn`.

    Without a schema there is only the free one. With one, a model that has begun to think, or
    begins to, thinks freely; from the end of its thinking on it is held.
    """

    def __init__(
        self,
        library: Library,
        sampling: SamplingSettings,
        model: LlamaModel,
        json_schema: str,
        *,
        opened: bool,
        reasons: bool,
    ) -> None:
        """`opened`: the prompt opened a thinking block. `reasons`: the model may open one itself.

        Raises WrongUsage for a schema that cannot be kept to, EngineFailed.
        """
        grammar = grammar_of(json_schema) if json_schema else ""
        self._thinking_tags = model.thinking_tags
        self._free = Sampler(library, sampling, model)
        self.seed = self._free.seed
        self._held: Sampler | None = None
        if grammar:
            same = sampling.model_copy(update={"seed": self.seed})
            self._held = Sampler(library, same, model, grammar=grammar)
        self.undecided = self._held is not None and reasons and not opened
        self.waiting = self._held is not None and (reasons or opened)
        held = self._held is not None and not self.waiting
        self.chain: Any = self._held.pointer if held and self._held else self._free.pointer

    def thinks(self, first: int) -> bool:
        """Does the answer's first token open a thinking block? If not, it must be drawn again."""
        self.undecided = False
        if first in self._thinking_tags:
            return True
        self._take_up_held()
        return False

    def turn(self, writer: AnswerWriter) -> None:
        """After each token: the thinking may be over."""
        if writer.answering:
            self._take_up_held()

    def _take_up_held(self) -> None:
        self.waiting = False
        if self._held is not None:
            self.chain = self._held.pointer

    def close(self) -> None:
        """Free the samplers."""
        self._free.close()
        if self._held is not None:
            self._held.close()
