"""Remembers the tokens of recent answers, so that an answer can be continued from its cells.

The text of an answer does not determine its tokens: a tokenizer would cut it in another way than
it was sampled, most of all where it ended. With the sampled tokens the continuation finds its
cells, and is the text that would have followed.
"""

from array import array
from collections import deque
from collections.abc import Callable, Sequence

from deepseek_r1.core.messages import PartialAnswer
from deepseek_r1.engine.output.generation_output import GenerationOutput, ResultCollector
from deepseek_r1.engine.output.reasoning import THINK, ThinkingFormat

_REMEMBERED = 8  # answers, each with its prompt: 4 bytes a token


class RecentAnswers:
    """The tokens of the last answers and their prompts. For the computing thread."""

    def __init__(
        self, token_text: Callable[[int], bytes | None], form: ThinkingFormat = THINK
    ) -> None:
        """`token_text` returns a token's text, None for one that ends an answer."""
        self._token_text, self._form = token_text, form
        # Prompt and answer of each.
        self._answers: deque[tuple[array[int], array[int]]] = deque(maxlen=_REMEMBERED)

    def add(self, prompt: Sequence[int], answer: Sequence[int]) -> None:
        """Remember an answer. With no token of it there is nothing to continue."""
        if answer:
            self._answers.append((array("i", prompt), array("i", answer)))

    def find(
        self, prompt: Sequence[int], partial: PartialAnswer, *, thinking_open: bool, plain: bool
    ) -> list[int] | None:
        """Return the tokens of the last answer to `prompt` with exactly this text, or None.

        `thinking_open` and `plain` are those of the answer's `GenerationOutput`.
        """
        wanted = array("i", prompt)
        for answered, answer in reversed(self._answers):
            if answered == wanted:
                output = GenerationOutput(
                    thinking_open=thinking_open, started=0.0, plain=plain, form=self._form
                )
                if self._shown(answer, output) == partial:
                    return list(answer)
        return None

    def text_of(self, tokens: Sequence[int]) -> bytes:
        return b"".join(self._token_text(token) or b"" for token in tokens)

    def _shown(self, answer: Sequence[int], output: GenerationOutput) -> PartialAnswer:
        """Return what these tokens had in their events."""
        collector = ResultCollector()
        output.on_text(self.text_of(answer), len(answer))
        collector.add(*output.finish(cut=True))
        return PartialAnswer(
            thinking=collector.thinking, text=collector.text, inside_thinking=output.thinking
        )
