"""The formulas that are known, for the window's thread, and the child process that sets them.

The window never waits for one: a formula that is not known yet is asked for, and `settled` reports
when its layout is there or when it turned out that there is none.
"""

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import Final

import psutil
from pydantic import BaseModel, ConfigDict, TypeAdapter
from PySide6.QtCore import QObject, QTimer, Signal, Slot

from deepseek_r1.core import log
from deepseek_r1.core.child_call import ChildCall, ChildDied, ChildTooSlow
from deepseek_r1.core.errors import ProtocolBroken, R1Error
from deepseek_r1.core.i18n import current_language
from deepseek_r1.core.processes import ChildKind
from r1desk.chat.formulas import MAX_REPLY, FormulaKey
from r1desk.chat.formulas.formula_layout import FormulaLayout, GlyphOutlines, LayoutMessage
from r1desk.platform.background_thread import ask_in_background
from r1desk.platform.helper_processes import add_helper, remove_helper
from r1desk.platform.qt_application import application
from r1desk.platform.tasks import Tasks, task

_START_S: Final = 20.0  # for the first reply of a child: a busy disk starts it slowly
_REPLY_S: Final = 4.0  # for each reply after that; a formula takes under 1 ms
_MAX_FAILURES: Final = 10  # of the child in a row, after which formulas stay source
_AT_ONCE: Final = 8  # formulas that are set, then reported together
_IDLE_MS: Final = 30_000  # after which the child ends
_MAX_KEPT_BYTES: Final = 4 << 20

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
            layout = self.outlines.kept_layout(reply) if reply else None
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

    def layouts(self, keys: Sequence[FormulaKey]) -> list[FormulaLayout | None]:
        return [self.layout(key) for key in keys]

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


class FormulaService(QObject):
    """Owns the child process and the layouts known."""

    settled = Signal(object)  # a frozenset of `FormulaKey` whose result is known since now

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._known: OrderedDict[FormulaKey, FormulaLayout | None] = OrderedDict()
        self._known_bytes = 0
        self._asked: dict[FormulaKey, None] = {}  # in the order of asking
        self.tasks = Tasks(self)
        self.child = FormulaChild()
        self.destroyed.connect(self.child.stop)
        application().aboutToQuit.connect(self.child.stop)
        self._idle_timer = QTimer(self, singleShot=True, interval=_IDLE_MS)
        self._idle_timer.timeout.connect(self.child.end)

    def is_settled(self, key: FormulaKey) -> bool:
        return key in self._known

    def layout(self, key: FormulaKey) -> FormulaLayout | None:
        """The layout of `key`; None while it is not known and where there is none."""
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        return None

    def request(self, key: FormulaKey) -> None:
        """Ask for a layout; `settled` follows unless it is known already."""
        if key not in self._known:
            is_first = not self._asked
            self._asked[key] = None
            if is_first:  # else it is being worked at
                self._work()

    @property
    def is_busy(self) -> bool:
        return bool(self._asked)

    @Slot()
    def close(self) -> None:
        """Set no more formulas, and end the child process. Any thread may call this."""
        self.child.stop()

    @task
    async def _work(self) -> None:
        """Have all that is asked for set, some at once."""
        self._idle_timer.stop()
        while self._asked:
            keys = list(islice(self._asked, _AT_ONCE))
            layouts: list[FormulaLayout | None] = [None] * len(keys)
            with suppress(R1Error):  # of a bug, which costs these only
                layouts = await ask_in_background(self.child.layouts, keys)
            for key, layout in zip(keys, layouts, strict=True):
                del self._asked[key]
                self._keep(key, layout)
            self.settled.emit(frozenset(keys))
        self._idle_timer.start()

    def _keep(self, key: FormulaKey, layout: FormulaLayout | None) -> None:
        self._known[key] = layout
        self._known_bytes += _size(key, layout)
        while self._known_bytes > _MAX_KEPT_BYTES:
            self._known_bytes -= _size(*self._known.popitem(last=False))


class WaitingFormulas(FormulaService):
    """For a thread that may wait, as that of an export: a layout is set before it is returned."""

    def layout(self, key: FormulaKey) -> FormulaLayout | None:
        if not self.is_settled(key):
            self._keep(key, self.child.layout(key))
        return super().layout(key)


def _size(key: FormulaKey, layout: FormulaLayout | None) -> int:
    return 200 + len(key.source) + (len(layout.parts) + len(layout.speech) if layout else 0)
