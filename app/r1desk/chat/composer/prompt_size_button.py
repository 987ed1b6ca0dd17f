"""A button with the number of tokens that conversation and message take."""

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QSizePolicy, QToolButton, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.chat.text import display_text as fit
from r1desk.chat.values.prompt import PromptSize
from r1desk.theme import set_role

_LEAST_EM = 2


class PromptSizeButton(QToolButton):
    """Keeps its place with nothing to show."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("tokens")
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAutoRaise(True)
        self.show_size(None)

    def show_size(self, size: PromptSize | None) -> None:
        """Show these numbers; None and an empty conversation show nothing."""
        shown = size if size and size.used else None
        line, details = (_line(shown), _details(shown)) if shown else ("", "")
        self.setText(line or " ")  # as high as a line
        self.setToolTip(fit.plain_tooltip(details))
        self.setAccessibleName(line or tr("Context"))
        self.setAccessibleDescription(details)
        self.setEnabled(shown is not None)  # else Tab would stop at nothing
        role = "warning" if shown and shown.nearly_full else ""
        set_role(self, "danger" if shown and not shown.fits else role)

    def minimumSizeHint(self) -> QSize:
        return QSize(_LEAST_EM * self.fontMetrics().height(), self.sizeHint().height())


def _line(size: PromptSize) -> str:
    if not size.fits:
        over, context = f"{size.total - size.context:,}", f"{size.context:,}"
        return tr("{over} tokens too long for the context of {context}", over=over, context=context)
    about = "" if size.exact and size.history_exact else "≈ "
    used = f"{about}{size.used:,}"
    line = tr("{used} of {context} tokens", used=used, context=f"{size.context:,}")
    return f"{line} · {tr('nearly full')}" if size.nearly_full else line


def _details(size: PromptSize) -> str:
    return tr(
        "Message: {message} tokens\nChat so far: {history} tokens\nKept free for the "
        "answer: {reserve} tokens\nContext: {context} tokens",
        message=f"{size.text:,}" if size.exact else f"≈ {size.text:,}",
        history=f"{size.history:,}" if size.history_exact else f"≈ {size.history:,}",
        reserve=f"{size.reserve:,}",
        context=f"{size.context:,}",
    )
