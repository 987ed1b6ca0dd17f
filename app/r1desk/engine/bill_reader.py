"""Reads the memory bills of models for the window, which parses no model file."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from deepseek_r1.catalogue.header_process import HeaderProcess
from deepseek_r1.catalogue.installed import read_once
from deepseek_r1.catalogue.model_bill import model_bill
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.memory.estimate import Estimate
from r1desk.platform.background_thread import BackgroundAnswer, ask_in_background


class BillReader:
    """Works in threads of its own. Lives in the main thread, which gets the results."""

    def ask(
        self, path: Path, settings: LoadSettings, window_mib: float, *, measure_disk: bool = True
    ) -> BackgroundAnswer:
        """Ask for the `Estimate` of a file with these settings; see `catalogue.model_bill`."""
        return ask_in_background(partial(_bill, path, settings, window_mib, measure_disk))


def _bill(path: Path, settings: LoadSettings, window_mib: float, measure_disk: bool) -> Estimate:
    with HeaderProcess() as process:
        headers = _KnownHeaders(process)
        return model_bill(headers, path, settings, window_mib, measure_disk=measure_disk)


class _KnownHeaders:
    """Has headers read by the process, and a model's only where its file has changed."""

    def __init__(self, process: HeaderProcess) -> None:
        self._process = process

    def read_header(self, path: Path) -> ModelHeader:
        """See `HeaderProcess.read_header`."""
        return read_once(path, self._process.read_header)
