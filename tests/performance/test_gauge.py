"""The gauge tells what is used, to eyes and ears, and rests when nothing changes."""

from types import SimpleNamespace

import pytest
from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtWidgets import QApplication

from performance.samples import gauge_values
from r1desk.performance.readings import StreamingRates
from r1desk.performance.widgets.bill_view import level
from r1desk.performance.widgets.gauge import Gauge
from r1desk.theme import ThemeChoice, apply_theme

# Said by the offscreen platform about every window with a least size.
pytestmark = pytest.mark.qt_log_ignore("does not support propagateSizeHints")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now_s=100.0, monotonic=lambda: clock.now_s)
    monkeypatch.setattr("r1desk.performance.widgets.gauge.time", clock)
    return clock


@pytest.fixture
def gauge(qapp: QApplication, qtbot, clock: SimpleNamespace) -> Gauge:
    apply_theme(qapp, ThemeChoice.LIGHT)
    gauge = Gauge()
    qtbot.addWidget(gauge)
    gauge.resize(1366, 44)
    gauge.show()
    gauge.all_button.click()
    return gauge


class Painted(QObject):
    """Counts what is painted."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[QObject] = []

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint:
            self.parts.append(watched)
        return False


def test_nothing_is_painted_while_nothing_that_is_seen_changes(gauge, clock, qtbot, qapp):
    gauge.show_values(gauge_values())
    qtbot.wait(50)
    qapp.installEventFilter(painted := Painted())
    for megabytes in (300.0, 300.2, 300.0):
        clock.now_s += 2
        gauge.show_values(gauge_values(engine_mib=megabytes, cores=(0.251, 0.749)))
        QApplication.processEvents()
    assert painted.parts == []
    gauge.show_values(gauge_values(tok_s=9.8))
    QApplication.processEvents()
    qapp.removeEventFilter(painted)
    assert gauge.readings in painted.parts
    assert gauge.memory not in painted.parts


def test_it_is_one_line_high(gauge: Gauge):
    gauge.show_values(gauge_values())
    assert 40 <= gauge.height() <= 48


def test_memory_and_state_are_shown_and_the_rest_on_a_click(gauge: Gauge, qtbot):
    gauge.show_values(gauge_values(streaming=STREAMING))
    shown = gauge.readings.text()
    assert shown == "– tok/s  ·  Disk 1.2 GB/s  ·  CPU 50 %  ·  Computer 5.9 / 15.6 GB"
    for words in ("In memory: 0.5 GB", "each token: 0.4 GB", "memory: 58%", "disk: 41% of"):
        assert words in gauge.readings.toolTip()
    gauge.show_values(gauge_values())
    assert "Disk" not in gauge.readings.text()
    qtbot.mouseClick(gauge.all_button, Qt.MouseButton.LeftButton)
    gauge.show_values(gauge_values(tok_s=9.8))
    assert gauge.readings.text() == ""
    assert gauge.memory.text() == "Memory 0.4 / 2.0 GB"
    assert gauge.state.text() == "Ready"


def test_a_narrow_window_keeps_memory_and_state_whole(gauge: Gauge):
    gauge.show_values(gauge_values())
    gauge.resize(500, 44)
    gauge.layout().activate()
    for part in (gauge.memory, gauge.state):
        assert part.width() >= part.sizeHint().width()
    assert gauge.all_button.geometry().right() < 500


@pytest.mark.parametrize(
    ("fraction", "streams", "shown"),
    [
        (0.5, False, ""),
        (0.9, False, "warning"),
        (1.005, False, "warning"),  # 772 of 768 MiB
        (1.05, False, "danger"),
        (0.97, True, ""),  # it takes what the budget allows
        (1.05, True, "danger"),
    ],
)
def test_the_bar_warns_before_the_budget_and_alarms_above_it(fraction, streams, shown):
    assert level(fraction, full_is_fine=streams) == shown


def test_the_parts_of_the_memory_are_in_the_tooltip(gauge: Gauge):
    gauge.show_values(gauge_values())
    assert "window 0.1 GB, engine 0.3 GB" in gauge.memory.toolTip()


def test_a_screen_reader_hears_it_at_most_every_five_seconds(gauge: Gauge, clock: SimpleNamespace):
    gauge.show_values(gauge_values())
    first = gauge.accessibleDescription()
    assert "Memory 0.4 / 2.0 GB" in first
    clock.now_s += 4
    gauge.show_values(gauge_values(engine_mib=788.0))
    assert gauge.accessibleDescription() == first
    clock.now_s += 1.5
    gauge.show_values(gauge_values(engine_mib=789.0))
    assert "Memory 0.9 /" in gauge.accessibleDescription()


def test_before_a_model_is_known_nothing_is_made_up(gauge: Gauge):
    gauge.show_values(gauge_values(budget_mib=0.0, cores=()))
    assert gauge.memory.text() == "Memory 0.4 GB"


STREAMING = StreamingRates(
    pinned_mib=560.0, streamed_mib=400.0, read_mib_s=1234.0, hit_rate=0.58, wait_share=0.41
)


def test_a_screen_reader_hears_of_the_disk(gauge: Gauge):
    gauge.show_values(gauge_values(streaming=STREAMING))
    assert "Reading 1.2 GB a second from the disk" in gauge.accessibleDescription()


@pytest.mark.parametrize("part", ["memory", "state"])
def test_a_click_on_a_part_asks_for_more_of_it(gauge: Gauge, qtbot, part: str):
    gauge.show_values(gauge_values())
    gauge.layout().activate()
    button = getattr(gauge, part)
    with qtbot.waitSignal(button.clicked):
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    with qtbot.waitSignal(button.clicked):
        qtbot.keyClick(button, Qt.Key.Key_Space)
