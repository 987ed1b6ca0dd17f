"""Asks the child process that sets formulas, and waits for each reply."""

from typing import Final

import psutil
from pydantic import BaseModel, ConfigDict, TypeAdapter

from deepseek_r1.core import log
from deepseek_r1.core.child_call import ChildCall, ChildDied, ChildTooSlow
from deepseek_r1.core.errors import ProtocolBroken
from deepseek_r1.core.i18n import current_language
from deepseek_r1.core.processes import ChildKind
from r1desk.chat.formulas import MAX_REPLY, FormulaKey
from r1desk.chat.formulas.formula_layout import (
    FormulaLayout,
    GlyphOutlines,
    LayoutMessage,
    kept_layout,
)
from r1desk.platform.helper_processes import add_helper, remove_helper

_START_S: Final = 20.0  # for the first reply of a child: a busy disk starts it slowly
_REPLY_S: Final = 4.0  # for each reply after that; a formula takes under 1 ms
_MAX_FAILURES: Final = 10  # of the child in a row, after which formulas stay source

_replies: TypeAdapter[LayoutMessage | None] = TypeAdapter(
    LayoutMessage | None, config=ConfigDict(defer_build=True)
)


class _Request(BaseModel):
    source: str
    display: bool
    language: str


class FormulaChild:
    """The child process, started for the first formula. For one thread, except for `stop`."""

    def __init__(self) -> None:
        self.outlines = GlyphOutlines()
        self.call: ChildCall | None = None  # the process while one runs
        self._failures = 0
        self._stopped = False

    def layout(self, key: FormulaKey) -> FormulaLayout | None:
        """The layout of `key`; None where there is none. A child that fails at it is ended."""
        if self._failures >= _MAX_FAILURES:
            return None
        if self.call is not None and not psutil.pid_exists(self.call.pid):
            self.end()
        deadline_s = _REPLY_S if self.call else _START_S
        language = "zh" if current_language().startswith("zh") else "en"
        request = _Request(source=key.source, display=key.display, language=language)
        try:
            reply = self._running().ask(request, deadline_s=deadline_s)
            layout = kept_layout(reply, self.outlines) if reply else None
        except (OSError, ValueError, ProtocolBroken, ChildDied, ChildTooSlow) as error:
            self._failures += 1
            log.window.warning(
                "formulas: %s: %.300s (%d of %d)",
                type(error).__name__,
                error,
                self._failures,
                _MAX_FAILURES,
            )
            self.end()
            return None
        self._failures = 0
        return layout

    def _running(self) -> ChildCall:
        """The process. Raises OSError, and ChildTooSlow after `stop`."""
        if self.call is None:
            self.call = ChildCall(ChildKind.FORMULAS, _replies, most_bytes=MAX_REPLY)
            add_helper(self.call.pid)
        if self._stopped:
            raise ChildTooSlow
        return self.call

    def end(self) -> None:
        """End the process. The next formula starts another."""
        call, self.call = self.call, None
        if call is not None:
            remove_helper(call.pid)
            call.close()

    def stop(self) -> None:
        """Set no more formulas, and end a wait for one. Any thread may call this."""
        self._stopped = True
        self.end()
