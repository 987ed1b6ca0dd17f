"""The application of Qt, its translations, and what Python has to do so that neither crashes."""

import gc

import shiboken6
from PySide6.QtCore import QLibraryInfo, QLocale, QObject, Qt, QTimer, QTranslator, Slot
from PySide6.QtGui import QClipboard, QGuiApplication
from PySide6.QtWidgets import QApplication

from deepseek_r1.core.i18n import current_language

CHECK_MS = 2000


def application() -> QApplication:
    """The application. Raises RuntimeError where there is none yet."""
    found = QApplication.instance()
    if isinstance(found, QApplication):
        return found
    raise RuntimeError("no application")


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


class MainThreadCollector(QObject):
    """Collects cycles in the main thread, at most once in two seconds, while it exists.

    Python's own collector runs in whichever thread happens to allocate. In the store's or the
    sampler's thread it would destroy widgets there, which Qt forbids: a destructor that waits for
    the interpreter while the main thread waits for Qt's lock stops the window for good.
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        gc.disable()
        self._timer = QTimer(self, interval=CHECK_MS, timerType=Qt.TimerType.CoarseTimer)
        self._timer.timeout.connect(self._on_check)
        self._timer.start()

    def close(self) -> None:
        """Leave collecting to Python again, when no other thread touches Qt any more."""
        self._timer.stop()
        gc.collect()
        gc.enable()

    @Slot()
    def _on_check(self) -> None:
        for generation in (2, 1, 0):
            if gc.get_count()[generation] > gc.get_threshold()[generation]:
                gc.collect(generation)
                return


class QtTranslator(QTranslator):
    """Qt's translations, also of texts that have got a mnemonic since they were translated.

    The Chinese of Qt 6.11 has "Look in:", which the file dialog now asks for as "&Look in:".
    """

    def translate(
        self, context: str, source: str, disambiguation: str | None = None, n: int = -1
    ) -> str | None:
        """Return the translation; None, which is Qt's null string, where there is none."""
        found = super().translate(context, source, disambiguation, n)
        if not found and "&" in source:
            found = super().translate(context, source.replace("&", ""), disambiguation, n)
        return found or None


def install_qt_translations(app: QApplication) -> None:
    """Replaces the translations of Qt's own texts by those of the current language."""
    for old in app.findChildren(QTranslator):
        app.removeTranslator(old)
        old.deleteLater()
    QLocale.setDefault(QLocale(current_language()))
    translator = QtTranslator(app)
    folder = QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)
    if translator.load(QLocale(current_language()), "qtbase", "_", folder):
        app.installTranslator(translator)
