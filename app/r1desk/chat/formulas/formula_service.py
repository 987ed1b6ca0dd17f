"""Sets formulas in a child process, asynchronously, and remembers the results.

Lives on the window's thread and never waits: a formula that is not known yet is asked for, and
`settled` reports when its layout is there or when it turned out that there is none.
"""

from __future__ import annotations

import json
import logging
from collections import OrderedDict, deque
from functools import cached_property
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import (
    QCoreApplication,
    QObject,
    QProcess,
    QProcessEnvironment,
    QTimer,
    Signal,
    Slot,
)

from deepseek_r1.core.child_environment import child_command, child_environment
from deepseek_r1.core.i18n import current_language
from deepseek_r1.core.processes import ChildKind
from r1desk.chat.formulas import MAX_REPLY, MAX_SOURCE, FormulaKey
from r1desk.platform.helper_processes import add_helper, remove_helper

if TYPE_CHECKING:
    from r1desk.chat.formulas.formula_layout import FormulaLayout, GlyphOutlines
    from r1desk.chat.formulas.formula_painter import FormulaPainter


_IN_FLIGHT: Final = 8  # requests that the child has at once; reading a reply takes 1 ms at most
_START_MS: Final = 20_000  # for the first reply of a child: a busy disk starts it slowly
_REPLY_MS: Final = 4_000  # for each reply after that; a formula takes under 1 ms
_IDLE_MS: Final = 30_000  # after which the child ends
_END_MS: Final = 1_000  # a killed process ends in a few
_MAX_KEPT: Final = 800  # formulas
_MAX_KEPT_BYTES: Final = 4 << 20
_MAX_CRASHES: Final = 10  # of the child in a row, after which formulas stay source

logger = logging.getLogger(__name__)


class FormulaService(QObject):
    """Owns the child process, the layouts known, and the painter that goes with them.

    Signals:
        settled: a frozenset of `FormulaKey` whose result is known since now.
    """

    settled = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._known: OrderedDict[FormulaKey, FormulaLayout | None] = OrderedDict()
        self._known_bytes = 0
        self._waiting: deque[FormulaKey] = deque()
        self._asked: set[FormulaKey] = set()
        self._in_flight: OrderedDict[int, FormulaKey] = OrderedDict()
        self._number = 0
        self._crashes = 0
        self._process: QProcess | None = None
        self._counted = 0  # the process whose memory counts as the window's
        self._reply_timer = QTimer(self, singleShot=True, interval=_START_MS)
        self._reply_timer.timeout.connect(self._on_reply_timeout)
        self._idle_timer = QTimer(self, singleShot=True, interval=_IDLE_MS)
        self._idle_timer.timeout.connect(self.stop)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.close)

    # Only the first formula needs what these import: the window starts without it.

    @cached_property
    def outlines(self) -> GlyphOutlines:
        """The glyphs of the layouts of this service."""
        from r1desk.chat.formulas.formula_layout import GlyphOutlines  # noqa: PLC0415

        return GlyphOutlines()

    @cached_property
    def painter(self) -> FormulaPainter:
        """Paints the layouts of this service."""
        from r1desk.chat.formulas.formula_painter import FormulaPainter  # noqa: PLC0415

        return FormulaPainter(self.outlines)

    # ---- asking

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
        if key in self._known or key in self._asked:
            return
        if len(key.source) > MAX_SOURCE or self._crashes >= _MAX_CRASHES:
            self._keep(key, None)
            return
        self._asked.add(key)
        self._waiting.append(key)
        self._send()

    @property
    def is_busy(self) -> bool:
        """True while formulas are being set."""
        return bool(self._asked)

    @property
    def process_id(self) -> int:
        """The child's process id, 0 when there is none."""
        return self._process.processId() if self._process else 0

    @Slot()
    def stop(self) -> None:
        """End the child process. The next formula starts another."""
        process, self._process = self._process, None
        remove_helper(self._counted)
        self._reply_timer.stop()
        self._idle_timer.stop()
        if process is None:
            return
        process.readyReadStandardOutput.disconnect(self._on_ready_read)
        process.finished.disconnect(self._on_finished)
        process.errorOccurred.disconnect(self._on_error)
        process.started.disconnect(self._on_started)
        if process.state() is QProcess.ProcessState.NotRunning:
            process.deleteLater()
        else:
            process.finished.connect(process.deleteLater)
            process.kill()
        for key in reversed(self._in_flight.values()):
            self._waiting.appendleft(key)
        self._in_flight.clear()

    @Slot()
    def close(self) -> None:
        """End the child process and wait for its end, when the application ends."""
        process = self._process
        self.stop()
        if process is not None:
            process.waitForFinished(_END_MS)

    # ---- the child

    def _send(self) -> None:
        if not self._waiting:
            return
        process = self._process or self._start()
        while self._waiting and len(self._in_flight) < _IN_FLIGHT:
            key = self._waiting.popleft()
            self._number += 1
            self._in_flight[self._number] = key
            process.write(request_line(self._number, key))
        self._idle_timer.stop()
        if not self._reply_timer.isActive():
            self._reply_timer.start()

    def _start(self) -> QProcess:
        self._reply_timer.setInterval(_START_MS)
        process = self._process = QProcess(QCoreApplication.instance())
        environment = QProcessEnvironment()
        for name, value in child_environment().items():
            environment.insert(name, value)
        process.setProcessEnvironment(environment)
        process.setStandardErrorFile(QProcess.nullDevice())
        process.readyReadStandardOutput.connect(self._on_ready_read)
        process.finished.connect(self._on_finished)
        process.errorOccurred.connect(self._on_error)
        program, *arguments = child_command(ChildKind.FORMULAS)
        process.started.connect(self._on_started)
        process.start(program, arguments)
        self.destroyed.connect(process.kill)
        return process

    @Slot()
    def _on_started(self) -> None:
        self._counted = self.process_id
        add_helper(self._counted)

    @Slot()
    def _on_ready_read(self) -> None:
        process = self._process
        if process is None:
            return
        settled = set()
        while process.canReadLine():
            key = self._store_reply(bytes(process.readLine(MAX_REPLY + 2).data()))
            if key is None:
                self._on_crash("an unreadable reply")
                break
            settled.add(key)
        else:
            if process.bytesAvailable() > MAX_REPLY:
                self._on_crash("a reply without an end")
        self._announce(settled)
        if settled:
            self._reply_timer.setInterval(_REPLY_MS)
        if self._in_flight:
            self._reply_timer.start()
        else:
            self._reply_timer.stop()
            self._idle_timer.start()
        self._send()

    def _store_reply(self, line: bytes) -> FormulaKey | None:
        """Keep one result; returns its formula, None where the child does not make sense."""
        from r1desk.chat.formulas.formula_layout import read_reply  # noqa: PLC0415 - as above

        try:
            number, layout = read_reply(line, self.outlines)
        except ValueError as error:
            logger.warning("formulas: %s", str(error)[:300])
            return None
        key = self._in_flight.pop(number, None)
        if key is not None:
            self._crashes = 0
            self._keep(key, layout)
        return key

    @Slot()
    def _on_reply_timeout(self) -> None:
        self._on_crash("no reply in time")

    @Slot()
    def _on_finished(self) -> None:
        self._on_crash("the process ended")

    @Slot(QProcess.ProcessError)
    def _on_error(self, error: QProcess.ProcessError) -> None:
        if error is QProcess.ProcessError.FailedToStart:
            self._crashes = _MAX_CRASHES
            self._on_crash("the process did not start")

    def _on_crash(self, reason: str) -> None:
        """Give up the formula the child was at, and go on with the next in a new child."""
        self._crashes += 1
        logger.warning("formulas: %s (%d of %d)", reason, self._crashes, _MAX_CRASHES)
        settled = set()
        if self._in_flight:
            _, key = self._in_flight.popitem(last=False)
            self._keep(key, None)
            settled.add(key)
        self.stop()
        if self._crashes >= _MAX_CRASHES:
            for key in self._waiting:
                self._keep(key, None)
                settled.add(key)
            self._waiting.clear()
        self._announce(settled)
        self._send()

    # ---- results

    def _keep(self, key: FormulaKey, layout: FormulaLayout | None) -> None:
        self._asked.discard(key)
        self._known[key] = layout
        self._known_bytes += _size(key, layout)
        while len(self._known) > _MAX_KEPT or self._known_bytes > _MAX_KEPT_BYTES:
            self._known_bytes -= _size(*self._known.popitem(last=False))

    def _announce(self, settled: set[FormulaKey]) -> None:
        if settled:
            self.settled.emit(frozenset(settled))


def request_line(number: int, key: FormulaKey) -> bytes:
    """A request to the child process."""
    request = {
        "number": number,
        "source": key.source.encode("utf-8", "replace").decode(),
        "display": key.display,
        "language": "zh" if current_language().startswith("zh") else "en",
    }
    return json.dumps(request).encode() + b"\n"


def _size(key: FormulaKey, layout: FormulaLayout | None) -> int:
    return 200 + len(key.source) + (len(layout.parts) + len(layout.speech) if layout else 0)
