"""Installs Qt's own translations: dialog buttons and the menus of text fields."""

from __future__ import annotations

from PySide6.QtCore import QLibraryInfo, QLocale, QTranslator
from PySide6.QtWidgets import QApplication

from deepseek_r1.core.i18n import current_language


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
