"""One tab of the panel: a scrolled column, with an Expert fold at its end."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QEvent, QObject, QSize, Qt
from PySide6.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.performance.widgets.collapsible import Collapsible
from r1desk.theme import set_role
from r1desk.widgets.scrolled_column import ScrolledColumn

_SPACING_PX = 12


class PanelPage(QScrollArea):
    """The everyday widgets of a tab, and the expert ones behind a fold."""

    def __init__(self, simple: Iterable[QWidget], expert: Iterable[QWidget]) -> None:
        super().__init__()
        self.expert = Collapsible(tr("Expert"), _column(expert))
        content = ScrolledColumn()
        column = QVBoxLayout(content)
        column.setContentsMargins(14, 12, 14, 14)
        column.setSpacing(_SPACING_PX)
        for widget in simple:
            column.addWidget(widget)
        column.addWidget(_rule())
        column.addWidget(self.expert)
        column.addStretch(1)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setWidget(content)
        content.installEventFilter(self)

    def minimumSizeHint(self) -> QSize:
        # A scroll area asks for nothing at the side: with large text, the rows would be cut off.
        inner = self.widget().minimumSizeHint().width()
        return QSize(inner + self.verticalScrollBar().sizeHint().width(), 120)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.LayoutRequest:  # other text, font or language inside
            self.updateGeometry()
        return super().eventFilter(watched, event)


def _column(widgets: Iterable[QWidget]) -> QWidget:
    result = QWidget()
    layout = QVBoxLayout(result)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(_SPACING_PX)
    for widget in widgets:
        layout.addWidget(widget)
    return result


def _rule() -> QFrame:
    rule = QFrame()
    set_role(rule, "rule")
    return rule
