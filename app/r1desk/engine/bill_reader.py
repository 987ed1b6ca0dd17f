"""Reads the memory bills of models for the window, which parses no model file."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

from deepseek_r1.catalogue.header_process import HeaderProcess
from deepseek_r1.catalogue.model_bill import model_bill
from deepseek_r1.core.errors import ModelFileUnreadable
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.memory.estimate import Estimate
from r1desk.platform.background_thread import BackgroundAnswer, ask_in_background


class BillReader:
    """One bill after the other, in threads. Lives in the main thread, which gets the results."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._process = HeaderProcess()
        self._closed = False

    def ask(
        self, path: Path, settings: LoadSettings, window_mib: float, *, measure_disk: bool = True
    ) -> BackgroundAnswer:
        """Ask for the `Estimate` of a file with these settings; see `catalogue.model_bill`."""
        return ask_in_background(partial(self._bill, path, settings, window_mib, measure_disk))

    def close(self) -> None:
        """End the header process; the bills that are due fail."""
        self._closed = True
        self._process.close()

    def _bill(
        self, path: Path, settings: LoadSettings, window_mib: float, measure_disk: bool
    ) -> Estimate:
        with self._turn:
            if self._closed:
                raise ModelFileUnreadable(path=str(path), detail="")
            try:
                return model_bill(
                    self._process, path, settings, window_mib, measure_disk=measure_disk
                )
            finally:
                self._process.close()
