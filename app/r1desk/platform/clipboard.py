"""Hands copied text over to Qt before Python ends."""

import shiboken6
from PySide6.QtGui import QClipboard, QGuiApplication


def let_copied_text_outlive_python() -> None:
    """Put a text copied from the conversation on the clipboard once more, as Qt's own data.

    A selection's data is made by our Python code. Qt destroys it when the process exits, after the
    interpreter is gone, and a Python object destroyed then is a crash.
    """
    clipboard = QGuiApplication.clipboard()
    for mode in (QClipboard.Mode.Clipboard, QClipboard.Mode.Selection):
        data = clipboard.mimeData(mode)
        if data is not None and shiboken6.createdByPython(data):
            clipboard.setText(data.text(), mode)
