"""A link in an answer is opened only after the user has seen where it really leads."""

from __future__ import annotations

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QMessageBox, QWidget

from deepseek_r1.core.i18n import tr

SCHEMES = ("http", "https")


def ask_to_open(address: str, parent: QWidget, question: str) -> QMessageBox | None:
    """Show the address and let the user open or copy it; None for a scheme we never open."""
    url = QUrl(address, QUrl.ParsingMode.StrictMode)
    if not url.isValid() or url.scheme() not in SCHEMES or url.userInfo():
        return None
    box = QMessageBox(parent)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setWindowTitle(tr("Open a link"))
    box.setText(question)
    # The encoded form cannot imitate another address with look-alike letters.
    shown = url.toString(QUrl.ComponentFormattingOption.FullyEncoded)
    host = url.host(QUrl.ComponentFormattingOption.FullyEncoded)
    short = shown if len(shown) <= 300 else shown[:300] + "…"
    box.setInformativeText(tr("Leads to: {host}", host=host) + "\n\n" + short)
    open_button = box.addButton(tr("Open"), QMessageBox.ButtonRole.AcceptRole)
    copy_button = box.addButton(tr("Copy"), QMessageBox.ButtonRole.ActionRole)
    cancel = box.addButton(QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(cancel)

    def chosen() -> None:
        if box.clickedButton() is open_button:
            QDesktopServices.openUrl(url)
        elif box.clickedButton() is copy_button:
            QGuiApplication.clipboard().setText(shown)

    box.finished.connect(chosen)
    box.open()
    return box
