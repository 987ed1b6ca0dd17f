"""The application of Qt, which is there before any window."""

from PySide6.QtWidgets import QApplication


def application() -> QApplication:
    """The application. Raises RuntimeError where there is none yet."""
    found = QApplication.instance()
    if isinstance(found, QApplication):
        return found
    raise RuntimeError("no application")
