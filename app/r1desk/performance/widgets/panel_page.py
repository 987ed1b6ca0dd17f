"""Parts of the tabs of the panel: a scrolled column, a fold, a place for messages, the presets."""

from collections.abc import Iterable

from PySide6.QtCore import QEvent, QObject, QSize, Qt, Slot
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.core.i18n import tr
from r1desk.theme import explain, icon, set_role
from r1desk.widgets.layouts import ScrolledColumn, filled, keep_place, put_inside, with_properties
from r1desk.widgets.text_label import text_label

_LINES = 2
_SPACING_PX = 12


class Collapsible(QWidget):
    """A flat button with a chevron, and a body that it opens."""

    def __init__(self, title: str, body: QWidget) -> None:
        super().__init__()
        self.body = body
        self.button = with_properties(QPushButton(title), checkable=True, accessibleName=title)
        self.button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        set_role(self.button, "fold")
        filled(QVBoxLayout(self), self.button, body, spacing=_SPACING_PX)
        self.button.toggled.connect(self._on_toggled)
        self._on_toggled(opened=False)

    @Slot(bool)
    def _on_toggled(self, opened: bool) -> None:
        self.button.setIcon(icon("chevron-down" if opened else "chevron-right", "text_dim"))
        self.body.setVisible(opened)


class PanelMessage(QFrame):
    """One text and the buttons that belong to it, always in the same place and visible.

    It keeps its height without a text, so that no control moves when one appears.
    """

    def __init__(self) -> None:
        super().__init__()
        set_role(self, "bar")
        self.text = text_label("", "dim")
        self.text.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.apply_button = QPushButton(tr("Apply and reload"))
        set_role(self.apply_button, "primary")
        self.advice_button = QPushButton(tr("Use these settings"))
        self.undo_button = QPushButton(tr("Undo"))
        column = filled(QVBoxLayout(self), self.text, spacing=6, margins=(14, 8, 14, 10))
        column.setStretch(0, 1)
        buttons = put_inside(column, with_properties(QHBoxLayout(), spacing=8))
        buttons.addWidget(self.advice_button, 1)
        buttons.addWidget(self.apply_button, 1)
        buttons.addWidget(self.undo_button)
        keep_place(self.undo_button)  # the row of buttons keeps its height
        self.show_message("")
        self._reserve()

    def show_message(
        self, text: str, role: str = "dim", *, pending: bool = False, advice: bool = False
    ) -> None:
        """Show `text` in the colour of `role`.

        With the buttons for settings that wait for a reload (`pending`), and for `advice`.
        """
        self.text.setText(text)
        set_role(self.text, role)
        self.apply_button.setVisible(pending and not advice)
        self.undo_button.setVisible(pending)
        self.advice_button.setVisible(advice)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._reserve()

    def _reserve(self) -> None:
        self.text.setMinimumHeight(_LINES * self.text.fontMetrics().lineSpacing() + 2)


class PanelPage(QScrollArea):
    """The everyday widgets of a tab, and the expert ones behind a fold."""

    def __init__(self) -> None:
        super().__init__(widgetResizable=True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        content, rule, self._inner = ScrolledColumn(), QFrame(), QWidget()
        self.setWidget(content)
        content.installEventFilter(self)
        self._column = QVBoxLayout(content)
        self.expert = Collapsible(tr("Advanced"), self._inner)
        self.expert.button.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # no frame after a click
        set_role(rule, "rule")
        margins = 14, 12, 14, 14
        filled(self._column, rule, self.expert, spacing=_SPACING_PX, margins=margins)
        self._column.addStretch(1)

    def fill(self, simple: Iterable[QWidget], expert: Iterable[QWidget]) -> None:
        """Put the widgets in, once the page has its place: Qt styles all below a new child anew."""
        for at, widget in enumerate(simple):
            self._column.insertWidget(at, widget)
        filled(QVBoxLayout(self._inner), *expert, spacing=_SPACING_PX)

    def minimumSizeHint(self) -> QSize:
        # A scroll area asks for nothing at the side: with large text, the rows would be cut off.
        content = self.widget()
        inner = content.minimumSizeHint().width() if content is not None else 0
        return QSize(inner + self.verticalScrollBar().sizeHint().width(), 120)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.LayoutRequest:  # other text, font or language inside
            self.updateGeometry()
        return super().eventFilter(watched, event)


class PresetRow(QWidget):
    """Whose settings follow, and a button that names the preset in force and opens their menu."""

    def __init__(self) -> None:
        super().__init__()
        self.button = QToolButton()
        self.button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        set_role(self.button, "choice")
        self.default_button = QPushButton(tr("Make it the default"), flat=True)
        explain(self.default_button, tr("New chats use these settings and instructions."))
        keep_place(self.default_button)
        column = filled(QVBoxLayout(self), spacing=4)
        head = put_inside(column, QHBoxLayout())
        filled(head, text_label(tr("This chat"), "heading"), self.default_button).setStretch(0, 1)
        column.addWidget(self.button)
        explain(self.button, tr("Instructions and answer settings under one name, for this chat."))

    def show_preset(self, name: str) -> None:
        """Name the preset in force; empty where the settings are those of none."""
        self.button.setText(f"{name or tr('Choose a preset…')} ▾")
