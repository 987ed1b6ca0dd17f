"""One answer's passes over the model: the token that was chosen, and drafts to be confirmed."""

from __future__ import annotations

import time

from deepseek_r1.engine.llama.context import LlamaContext
from deepseek_r1.engine.llama.drafts import DraftPace, Repetitions
from deepseek_r1.memory.plan import DRAFT_TOKENS


class DraftedPasses:
    """Computes tokens with drafts behind them. For the computing thread.

    `row` is where the logits for the next choice are. The choice is told to `confirm`; where that
    answers False, it has to be computed. `close` leaves nothing unconfirmed in the context.
    """

    def __init__(self, context: LlamaContext, pace: DraftPace) -> None:
        self._context, self._pace = context, pace
        self._repetitions = Repetitions()
        self._ahead: list[int] = []  # computed, not confirmed; the next one first
        self._took_s = 0.0  # of the last pass, if it had drafts
        self._gained = 1
        self.row = -1
        self.drafted = self.accepted = 0

    @property
    def counted(self) -> dict[str, int]:
        """For the account of the answer."""
        return {"drafted": self.drafted, "accepted": self.accepted}

    def confirm(self, token: int) -> bool:
        """True where this choice was drafted: it is computed, and its logits are at `row`."""
        if not self._ahead:
            return False
        if self._ahead[0] != token:
            self._end_pass()
            return False
        del self._ahead[0]
        self.row += 1
        self.accepted += 1
        self._gained += 1
        if not self._ahead:
            self._end_pass()
        return True

    def compute(self, token: int) -> bool:
        """Append a token that was chosen, and drafts if there are any; whether there were."""
        context = self._context
        began = time.perf_counter()
        drafts = self._guess(token)
        if not drafts:
            context.compute_one(token)
            self.row = -1
            self._pace.saw_plain(time.perf_counter() - began)
            return False
        context.compute_all([token, *drafts])
        self.row, self._ahead, self._gained = 0, drafts, 1
        self.drafted += len(drafts)
        self._took_s = time.perf_counter() - began
        return True

    def _guess(self, token: int) -> list[int]:
        cells = self._context.cells
        room = self._context.shape.context_length - len(cells) - 2
        most = min(DRAFT_TOKENS, room, self._context.most_tokens - 1)
        if most < 1 or not self._pace.pays:
            return []
        return self._repetitions.guess(cells, token, most)

    def _end_pass(self) -> None:
        """All that was drafted is confirmed or forgotten."""
        if self._ahead:
            self._context.truncate(len(self._context.cells) - len(self._ahead))
            self._ahead.clear()
        self._pace.saw_drafted(self._took_s, self._gained)

    def close(self) -> None:
        """The answer is over."""
        if self._ahead:
            self._end_pass()
