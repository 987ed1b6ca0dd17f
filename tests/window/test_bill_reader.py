"""The window gets bills without parsing a file, and a slider does not start a process each time."""

from __future__ import annotations

import threading
from pathlib import Path

import psutil
import pytest
from pytestqt.qtbot import QtBot

from deepseek_r1.catalogue.header_process import HeaderProcess
from deepseek_r1.core.child_call import ChildCall
from deepseek_r1.core.settings import LoadSettings
from r1desk.engine.bill_reader import BillReader
from support.gguf_files import tiny_llama


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that a header process has read."""
    paths: list[Path] = []
    read = HeaderProcess._read

    def recorded(process: HeaderProcess, path: Path) -> object:
        paths.append(path)
        return read(process, path)

    monkeypatch.setattr(HeaderProcess, "_read", recorded)
    return paths


def bill(qtbot: QtBot, bills: BillReader, path: Path, settings: LoadSettings) -> object:
    request = bills.ask(path, settings, 100.0, measure_disk=False)
    with qtbot.waitSignal(request.done) as done:
        pass
    return done.args[0].bill


def test_other_settings_of_a_file_are_answered_from_the_header_that_is_known(
    qtbot: QtBot, tmp_path: Path, read: list[Path]
) -> None:
    bills, path = BillReader(), tiny_llama(tmp_path / "tiny.gguf")
    short = bill(qtbot, bills, path, LoadSettings(context_length=256))
    long = bill(qtbot, bills, path, LoadSettings(context_length=512))
    assert long.total_mib > short.total_mib
    assert read == [path]
    tiny_llama(path, blocks=3)
    bill(qtbot, bills, path, LoadSettings(context_length=512))
    assert read == [path, path], "a file that has changed is another one"


def test_a_file_that_cannot_be_read_is_a_failure_with_its_reason(
    qtbot: QtBot, tmp_path: Path
) -> None:
    request = BillReader().ask(tmp_path / "gone.gguf", LoadSettings(), 100.0)
    with qtbot.waitSignal(request.failed) as failed:
        pass
    assert failed.args[0].code == "ModelFileMissing"


def test_a_question_that_another_one_replaced_stays_silent(qtbot: QtBot, tmp_path: Path) -> None:
    bills, path = BillReader(), tiny_llama(tmp_path / "tiny.gguf")
    before = bills.ask(path, LoadSettings(context_length=256), 100.0, measure_disk=False)
    before.done.connect(lambda _estimate: pytest.fail("it was abandoned"))
    before.abandon()
    bill(qtbot, bills, path, LoadSettings(context_length=512))


def test_bills_start_one_process_at_a_time_which_ends_when_the_window_closes(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, paths = threading.Event(), [tmp_path / f"{n}.gguf" for n in range(3)]

    def hangs(process: ChildCall, message: object) -> None:
        """The process never gets to know of the file."""
        begun.set()

    monkeypatch.setattr(ChildCall, "send", hangs)
    bills, before = BillReader(), set(psutil.Process().children())
    requests = [bills.ask(tiny_llama(path), LoadSettings(), 100.0) for path in paths]
    begun.wait()
    (child,) = set(psutil.Process().children()) - before
    with qtbot.waitSignals([request.failed for request in requests]):
        bills.close()
    assert not child.is_running()
