"""The checks as a page of the window: found in another thread, shown in this one."""

import threading

from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLabel

from deepseek_r1.checks import Finding, Severity
from r1desk.shell import help_dialogs
from r1desk.shell.help_dialogs import DoctorPage
from support.patience import PATIENCE_S

FINDINGS = (
    Finding("memory", "Memory", "300 of 4000 MiB", Severity.PROBLEM, "Close <b>programs</b>."),
    Finding("cores", "Cores", "4"),
)


def test_the_findings_are_shown_with_what_to_do(qtbot, monkeypatch):
    threads = []

    def examined():
        threads.append(threading.current_thread())
        return FINDINGS

    monkeypatch.setattr(help_dialogs, "examine", examined)
    page = DoctorPage()
    qtbot.addWidget(page)
    assert "Checking" in page.note.text()
    qtbot.waitUntil(lambda: bool(page.findings))
    assert threads[0] is not threading.main_thread()
    assert page.note.text() == "1 suggestion"
    shown = [label.text() for label in page.findChildren(QLabel)]
    assert "300 of 4000 MiB\nClose <b>programs</b>." in shown
    page.copy.click()
    assert QGuiApplication.clipboard().text().splitlines()[1] == "✓ Cores: 4"


def test_closing_the_page_while_it_looks_harms_nothing(qtbot, monkeypatch):
    gate, done = threading.Event(), threading.Event()

    def slow():
        gate.wait(PATIENCE_S)
        done.set()
        return FINDINGS

    monkeypatch.setattr(help_dialogs, "examine", slow)
    page = DoctorPage()
    page.show()
    page.close()
    qtbot.wait(50)
    gate.set()
    assert done.wait(PATIENCE_S)
    qtbot.wait(50)
