"""A link in an answer is opened only after the user has seen where it really leads."""

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QMessageBox, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.widgets.bounded_dialog import ask

SCHEMES = ("http", "https")


def ask_to_open(address: str, parent: QWidget, question: str) -> QMessageBox | None:
    """Show the address and let the user open or copy it; None for a scheme we never open."""
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
