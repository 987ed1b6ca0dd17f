"""Formulas never keep the window's thread for 50 ms; `bench_formulas.py` is the long form."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from benchmarks.bench_formulas import hostile, make_view, stream
from r1desk.chat.formulas.formula_service import FormulaService
from r1desk.chat.widgets.view import ChatView
from support.formula_corpus import HOSTILE

LIMIT_MS = 50.0

pytestmark = [pytest.mark.quiet, pytest.mark.integration]


@pytest.fixture
def shown_view(qtbot: QtBot) -> Iterator[ChatView]:
    window = QWidget()
    qtbot.addWidget(window)
    view = make_view(window)
    yield view
    view.findChild(FormulaService).close()
    window.close()


def test_a_hostile_formula_does_not_stall_the_window(shown_view: ChatView) -> None:
    for source, gaps in hostile(shown_view, HOSTILE[::5]):
        assert gaps.cpu_ms < LIMIT_MS, source[:40]


def test_streaming_a_page_of_formulas_does_not_stall_the_window(shown_view: ChatView) -> None:
    assert stream(shown_view, seconds=3.0).cpu_ms < LIMIT_MS
