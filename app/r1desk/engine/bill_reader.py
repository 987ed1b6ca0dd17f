"""Reads the memory bills of models for the window, which parses no model file."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.catalogue.header_process import HeaderProcess
from deepseek_r1.catalogue.installed import read_once
from deepseek_r1.catalogue.model_bill import model_bill
from deepseek_r1.core.errors import ErrorReport, R1Error
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.memory.estimate import Estimate
from r1desk.platform.background_thread import in_background


class BillRequest(QObject):
    """A question for a bill. Exactly one of `done` and `failed` is emitted.

    Signals:
        done: the `memory.estimate.Estimate`.
        failed: the ErrorReport.
    """

    done = Signal(object)
    failed = Signal(ErrorReport)

    def abandon(self) -> None:
        """Emit no more signals: another request has taken this one's place."""
        self.blockSignals(True)


class BillReader(QObject):
    """Works in threads of its own. Lives in the main thread, which gets the results."""

    _answered = Signal(object, object)  # from such a thread: the request and its result

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._answered.connect(self._on_answered)

    def ask(
        self, path: Path, settings: LoadSettings, window_mib: float, *, measure_disk: bool = True
    ) -> BillRequest:
        """Ask for the bill of a file with these settings; see `catalogue.model_bill`."""
        request = BillRequest()

        def answer() -> None:
            try:
                with HeaderProcess() as process:
                    headers = _KnownHeaders(process)
                    result: Estimate | ErrorReport = model_bill(
                        headers, path, settings, window_mib, measure_disk=measure_disk
                    )
            except R1Error as error:
                result = error.report()
            self._answered.emit(request, result)

        in_background(self, answer)
        return request

    @Slot(object, object)
    def _on_answered(self, request: BillRequest, result: Estimate | ErrorReport) -> None:
        if isinstance(result, ErrorReport):
            request.failed.emit(result)
        else:
            request.done.emit(result)


class _KnownHeaders:
    """Has headers read by the process, and a model's only where its file has changed."""

    def __init__(self, process: HeaderProcess) -> None:
        self._process = process

    def read_header(self, path: Path) -> ModelHeader:
        """See `HeaderProcess.read_header`."""
        return read_once(path, self._process.read_header)

    def read_draft_header(self, path: Path) -> ModelHeader:
        """See `HeaderProcess.read_draft_header`."""
        return self._process.read_draft_header(path)
