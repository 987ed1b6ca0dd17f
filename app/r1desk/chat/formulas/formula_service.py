"""The formulas that are known, for the window's thread, which never waits for one.

A formula that is not known yet is asked for, and `settled` reports when its layout is there or when
it turned out that there is none.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QCoreApplication, QObject, QTimer, Signal, Slot

from deepseek_r1.core.errors import R1Error
from r1desk.chat.formulas import FormulaKey
from r1desk.platform.background_thread import ask_in_background
from r1desk.platform.tasks import Tasks, task

if TYPE_CHECKING:
    from r1desk.chat.formulas.formula_child import FormulaChild
    from r1desk.chat.formulas.formula_layout import FormulaLayout
    from r1desk.chat.formulas.formula_painter import FormulaPainter


_AT_ONCE: Final = 8  # formulas that are set, then reported together
_IDLE_MS: Final = 30_000  # after which the child ends
_MAX_KEPT_BYTES: Final = 4 << 20


class FormulaService(QObject):
    """Owns the child process, the layouts known, and the painter that goes with them."""

    settled = Signal(object)  # a frozenset of `FormulaKey` whose result is known since now

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._known: OrderedDict[FormulaKey, FormulaLayout | None] = OrderedDict()
        self._known_bytes = 0
        self._asked: dict[FormulaKey, None] = {}  # in the order of asking
        self.tasks = Tasks(self)
        self._idle_timer = QTimer(self, singleShot=True, interval=_IDLE_MS)
        self._idle_timer.timeout.connect(self._on_idle)

    # Only the first formula needs what these import: the window starts without it.

    @cached_property
    def child(self) -> FormulaChild:
        """The child process, which has the glyphs of all layouts."""
        from r1desk.chat.formulas.formula_child import FormulaChild  # noqa: PLC0415

        child = FormulaChild()
        self.destroyed.connect(child.stop)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(child.stop)
        return child

    @cached_property
    def painter(self) -> FormulaPainter:
        """Paints the layouts of this service."""
        from r1desk.chat.formulas.formula_painter import FormulaPainter  # noqa: PLC0415

        return FormulaPainter(self.child.outlines)

    def is_settled(self, key: FormulaKey) -> bool:
        """True when it is known whether `key` can be set."""
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
        """True while formulas are being set."""
        return bool(self._asked)

    @Slot()
    def close(self) -> None:
        """Set no more formulas, and end the child process. Any thread may call this."""
        self.child.stop()

    @Slot()
    def _on_idle(self) -> None:
        self.child.end()

    @task
    async def _work(self) -> None:
        """Have all that is asked for set, some at once."""
        self._idle_timer.stop()
        child = self.child
        while self._asked:
            keys = list(islice(self._asked, _AT_ONCE))
            layouts: dict[FormulaKey, FormulaLayout | None] = dict.fromkeys(keys)
            with suppress(R1Error):  # of a bug, which costs these only
                layouts = await ask_in_background(_layouts, child, keys)
            for key, layout in layouts.items():
                del self._asked[key]
                self._keep(key, layout)
            self.settled.emit(frozenset(layouts))
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


def _layouts(
    child: FormulaChild, keys: Sequence[FormulaKey]
) -> dict[FormulaKey, FormulaLayout | None]:
    return {key: child.layout(key) for key in keys}


def _size(key: FormulaKey, layout: FormulaLayout | None) -> int:
    return 200 + len(key.source) + (len(layout.parts) + len(layout.speech) if layout else 0)
