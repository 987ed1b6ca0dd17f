"""The gauge tells what is used, to eyes and ears, and rests when nothing changes."""

import pytest
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QHoverEvent
from PySide6.QtWidgets import QApplication

from performance.samples import gauge_values
from r1desk.performance.readings import StreamingRates
from r1desk.performance.widgets.gauge import Gauge
from r1desk.performance.widgets.meters import Picture, level_colour
from r1desk.theme import ThemeChoice, apply_theme
from r1desk.theme.tokens import LIGHT

# Said by the offscreen platform about every window with a least size.
pytestmark = pytest.mark.qt_log_ignore("does not support propagateSizeHints")


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gauge(qapp: QApplication, qtbot, clock: Clock) -> Gauge:
    apply_theme(qapp, ThemeChoice.LIGHT)
    gauge = Gauge(clock)
    qtbot.addWidget(gauge)
    gauge.resize(1366, 44)
    gauge.show()
    gauge.all_button.click()
    return gauge


@pytest.fixture
def repainted(gauge: Gauge, monkeypatch: pytest.MonkeyPatch) -> list[Picture]:
    """The parts that are repainted after the first values."""
    gauge.show_values(gauge_values())
    parts: list[Picture] = []
    monkeypatch.setattr(Picture, "update", lambda part: parts.append(part))  # noqa: PLW0108
    return parts


def test_nothing_is_repainted_while_nothing_changes(gauge: Gauge, clock: Clock, repainted: list):
    for _ in range(60):
        clock.now_s += 2
        gauge.show_values(gauge_values())
    assert repainted == []


def test_only_what_changed_is_repainted(gauge: Gauge, repainted: list):
    gauge.show_values(gauge_values(tok_s=9.8))
    assert repainted == [gauge._speed]


def test_a_change_too_small_to_see_is_not_painted(gauge: Gauge, repainted: list):
    gauge.show_values(gauge_values(engine_mib=300.2, cores=(0.251, 0.749)))
    assert repainted == []


def test_it_is_one_line_high(gauge: Gauge):
    gauge.show_values(gauge_values())
    assert 40 <= gauge.height() <= 48


def test_memory_and_state_are_shown_and_the_rest_on_a_click(gauge: Gauge, qtbot):
    gauge.show_values(gauge_values(streaming=STREAMING))
    rest = (gauge._speed, gauge._disk, gauge._cpu, gauge._machine)
    assert all(part.isVisible() for part in rest)
    qtbot.mouseClick(gauge.all_button, Qt.MouseButton.LeftButton)
    assert not any(part.isVisible() for part in rest)
    gauge.show_values(gauge_values(tok_s=9.8))
    assert not any(part.isVisible() for part in rest)
    assert gauge.memory.isVisible()
    assert gauge.state.isVisible()


def test_a_narrow_window_keeps_what_matters(gauge: Gauge):
    gauge.show_values(gauge_values())
    assert gauge._machine.isVisible()
    assert gauge.minimumSizeHint().width() <= 500
    gauge.resize(500, 44)
    assert not gauge._machine.isVisible()
    assert gauge.memory.isVisible()
    assert gauge.state.isVisible()
    gauge.resize(1366, 44)
    assert gauge._machine.isVisible()


@pytest.mark.parametrize("width", range(500, 1400, 50))
def test_no_number_is_cut_at_any_width(gauge: Gauge, width: int):
    gauge.show_values(gauge_values())
    gauge.resize(width, 44)
    gauge.layout().activate()
    for meter in (gauge.memory, gauge._machine, gauge._speed, gauge.state):
        assert not meter.isVisible() or meter.width() >= meter.sizeHint().width()


@pytest.mark.parametrize("kind", [QEvent.Type.HoverEnter, QEvent.Type.HoverLeave])
def test_a_part_that_can_be_clicked_is_painted_anew_under_the_mouse(gauge, qtbot, kind):
    meter = gauge.memory
    painted = []
    meter.paintEvent = painted.append
    QApplication.sendEvent(meter, QHoverEvent(kind, QPointF(5, 5), QPointF(5, 5), QPointF(5, 5)))
    qtbot.waitUntil(lambda: bool(painted))


def test_the_bar_warns_before_the_budget_and_alarms_above_it():
    assert level_colour(0.5, LIGHT).name() == LIGHT.accent
    assert level_colour(0.9, LIGHT).name() == LIGHT.warning
    assert level_colour(1.05, LIGHT).name() == LIGHT.danger
    assert level_colour(1.005, LIGHT).name() == LIGHT.warning  # 772 of 768 MiB


def test_a_model_from_the_disk_fills_its_budget_without_a_warning():
    assert level_colour(0.97, LIGHT, full_is_fine=True).name() == LIGHT.accent
    assert level_colour(1.05, LIGHT, full_is_fine=True).name() == LIGHT.danger


def test_the_parts_of_the_memory_are_in_the_tooltip(gauge: Gauge):
    gauge.show_values(gauge_values())
    assert "window 0.1 GB, engine 0.3 GB" in gauge.memory.toolTip()


def test_a_screen_reader_hears_it_at_most_every_five_seconds(gauge: Gauge, clock: Clock):
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
    assert gauge.memory._value == "0.4 GB"


STREAMING = StreamingRates(
    pinned_mib=560.0, streamed_mib=400.0, read_mib_s=1234.0, hit_rate=0.58, wait_share=0.41
)


def test_the_disk_is_shown_while_a_model_runs_from_it(gauge: Gauge):
    gauge.show_values(gauge_values())
    assert not gauge._disk.isVisible()
    gauge.show_values(gauge_values(streaming=STREAMING))
    assert gauge._disk.isVisible()
    assert gauge._disk._value == "1.2 GB/s"
    for words in ("In memory: 0.5 GB", "each token: 0.4 GB", "memory: 58%", "disk: 41% of"):
        assert words in gauge._disk.toolTip()
    gauge.show_values(gauge_values())
    assert not gauge._disk.isVisible()


def test_a_screen_reader_hears_of_the_disk(gauge: Gauge):
    gauge.show_values(gauge_values(streaming=STREAMING))
    assert "Reading 1.2 GB a second from the disk" in gauge.accessibleDescription()


@pytest.mark.parametrize("part", ["memory", "state"])
def test_a_click_on_a_part_asks_for_more_of_it(gauge: Gauge, qtbot, part: str):
    gauge.show_values(gauge_values())
    gauge.layout().activate()
    meter = getattr(gauge, part)
    with qtbot.waitSignal(meter.clicked):
        qtbot.mouseClick(meter, Qt.MouseButton.LeftButton, pos=meter.rect().center())
    with qtbot.waitSignal(meter.clicked):
        qtbot.keyClick(meter, Qt.Key.Key_Return)
