"""Chooses the dark theme in a dialog by mouse and keys; prints the dialog's colour on the screen.

python tests/theme/change_on_x11.py    DISPLAY names the screen
"""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / "app")]

from PySide6.QtCore import QEventLoop, QPoint, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QComboBox, QDialog, QVBoxLayout, QWidget

from r1desk.theme import ThemeChoice, apply_theme


def live(milliseconds: int) -> None:
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def main() -> None:
    app = QApplication(sys.argv)
    apply_theme(app, ThemeChoice.LIGHT)
    window = QWidget()
    window.resize(600, 400)
    window.show()
    dialog, box = QDialog(window), QComboBox()
    QVBoxLayout(dialog).addWidget(box)
    choices = (ThemeChoice.LIGHT, ThemeChoice.DARK)
    box.addItems(choices)
    box.activated.connect(lambda index: apply_theme(app, choices[index]))
    dialog.resize(300, 200)
    dialog.open()
    live(500)
    QTest.mouseClick(box, Qt.MouseButton.LeftButton)
    live(500)
    for key in (Qt.Key.Key_Down, Qt.Key.Key_Return):
        QTest.keyClick(box.view(), key)
    live(1000)
    corner = dialog.mapToGlobal(QPoint(5, 190))
    pixel = app.primaryScreen().grabWindow(0, corner.x(), corner.y(), 1, 1).toImage()
    print(pixel.pixelColor(0, 0).lightness())


if __name__ == "__main__":
    main()
