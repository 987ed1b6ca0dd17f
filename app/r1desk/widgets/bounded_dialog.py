"""A dialog that is never larger than its screen, and a question with a button for each answer."""

from PySide6.QtCore import QSize, Qt, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication, QKeyEvent, QShowEvent
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFrame,
    QMessageBox,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.core.i18n import tr
from r1desk.platform.tasks import Later
from r1desk.widgets.layouts import filled
from r1desk.widgets.text_label import Action, call_with

_FRAME_PX = 40  # title bar and borders, which Qt does not know before the dialog is shown

SCHEMES = ("http", "https")

Choice = tuple[str, QMessageBox.ButtonRole, Action]


class KeyDialog(QDialog):
    """Return presses the button that has the focus, else the default one."""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        button, keys = self.focusWidget(), (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if event.key() in keys and isinstance(button, QPushButton | QToolButton):
            button.click()
        else:
            super().keyPressEvent(event)


class BoundedDialog(KeyDialog):
    """Scrolls its body where the screen is too small for it; its buttons stay visible."""

    def __init__(self, parent: QWidget | None, title: str, suited: QSize) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(title)
        self._suited = suited
        self.area = QScrollArea(self, widgetResizable=True)
        self.area.setAccessibleName(title)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, self)
        self.buttons.rejected.connect(self.reject)
        self.column = filled(
            QVBoxLayout(self), self.area, self.buttons, spacing=12, margins=(16, 16, 16, 14)
        )
        self.column.setStretch(0, 1)

    def set_body(self, body: QWidget) -> None:
        """Put `body` into the scrolled part."""
        self.area.setWidget(body)

    def fill_column(self, spacing: int) -> QVBoxLayout:
        """Put an empty column into the scrolled part; returned to be filled."""
        body = QWidget(self.area)
        self.set_body(body)
        return filled(QVBoxLayout(body), spacing=spacing, margins=(4, 2, 4, 2))

    def showEvent(self, event: QShowEvent) -> None:
        self.resize(size_within_screen(self, self._wanted_size()))
        super().showEvent(event)

    def _wanted_size(self) -> QSize:
        body = self.area.widget()
        if body is None:
            return self._suited
        width = max(self._suited.width(), body.minimumSizeHint().width() + 50)
        height = body.heightForWidth(width - 50) if body.hasHeightForWidth() else -1
        height = max(height, body.sizeHint().height()) + self.buttons.sizeHint().height() + 48
        return QSize(width, max(self._suited.height(), height))


def size_within_screen(widget: QWidget, wanted: QSize) -> QSize:
    """The part of `wanted` that the widget's screen has space for."""
    available = widget.screen().availableGeometry().size()
    return wanted.boundedTo(QSize(available.width() - 8, available.height() - _FRAME_PX))


def ask(
    parent: QWidget,
    text: str,
    details: str,
    *choices: Choice,
    icon: QMessageBox.Icon = QMessageBox.Icon.Warning,
    enter: str = "",
) -> QMessageBox:
    """Open a question; each choice is a button and what it does. Default: `enter`, or Cancel."""
    box = QMessageBox(icon, "", text, parent=parent)
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.setInformativeText(details)
    for label, role, chosen in choices:
        button = box.addButton(label, role)
        button.clicked.connect(chosen)
        if label == enter:
            box.setDefaultButton(button)
    cancel = box.addButton(QMessageBox.StandardButton.Cancel)
    if not enter:
        box.setDefaultButton(cancel)
    box.open()
    return box


def ask_to_open(address: str, parent: QWidget, question: str) -> QMessageBox | None:
    """Show where a link really leads, and let the user open or copy it.

    None for a scheme that is never opened.
    """
    url = QUrl(address, QUrl.ParsingMode.StrictMode)
    if not url.isValid() or url.scheme() not in SCHEMES or url.userInfo():
        return None
    # The encoded form cannot imitate another address with look-alike letters.
    shown = url.toString(QUrl.ComponentFormattingOption.FullyEncoded)
    host = url.host(QUrl.ComponentFormattingOption.FullyEncoded)
    short = shown if len(shown) <= 300 else shown[:300] + "…"
    details, roles = tr("Leads to: {host}", host=host) + "\n\n" + short, QMessageBox.ButtonRole
    return ask(
        parent,
        question,
        details,
        (tr("Open"), roles.AcceptRole, lambda: QDesktopServices.openUrl(url)),
        (tr("Copy"), roles.ActionRole, lambda: QGuiApplication.clipboard().setText(shown)),
        icon=QMessageBox.Icon.NoIcon,
    )


def accepted(dialog: QDialog) -> Later[bool]:
    """Open a dialog, and await whether it is accepted."""
    ended: Later[bool] = Later()
    call_with(dialog.accepted, ended.give, True)
    call_with(dialog.rejected, ended.give, False)
    dialog.open()
    return ended
