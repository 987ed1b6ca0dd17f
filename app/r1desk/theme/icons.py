"""Icons drawn from our own SVG files, tinted with the theme's colours when they are painted.

An icon names a colour of `Tokens`, not a colour: it follows a change of theme by itself.
"""

from functools import cache

from PySide6.QtCore import QByteArray, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QIcon, QIconEngine, QPainter, QPixmap, QPixmapCache
from PySide6.QtSvg import QSvgRenderer
from shiboken6 import isValid

from deepseek_r1.core.paths import resources_dir
from r1desk.theme.theme import tokens

_APP_SIZES_PX = (16, 24, 32, 48, 64, 128, 256)


@cache
def _source(name: str) -> str:
    return (resources_dir() / "icons" / f"{name}.svg").read_text(encoding="utf-8")


def icon(name: str, colour: str = "text") -> QIcon:
    """The icon `name` in the colour `colour`, a field of `Tokens`.

    Raises:
        FileNotFoundError: there is no such icon.
    """
    _source(name)
    return QIcon(_TintedEngine(name, colour))


def app_icon() -> QIcon:
    """The application's icon, sharp in title bars and docks alike."""
    result = QIcon()
    for size in _APP_SIZES_PX:
        result.addPixmap(_rendered("app", QSize(size, size), "#000000"))
    return result


def _rendered(name: str, size: QSize, colour: str) -> QPixmap:
    if size.isEmpty():  # there is no space for it, as in a row that is being laid out
        return QPixmap()
    key = f"r1desk/{name}/{colour}/{size.width()}x{size.height()}"
    picture = QPixmap()
    if QPixmapCache.find(key, picture):
        return QPixmap(picture)
    picture = QPixmap(size)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    _draw(painter, name, QRectF(0, 0, size.width(), size.height()), colour)
    painter.end()
    QPixmapCache.insert(key, picture)
    return QPixmap(picture)


def _draw(painter: QPainter, name: str, into: QRectF, colour: str) -> None:
    svg = _source(name).replace("currentColor", colour)
    renderer = QSvgRenderer(QByteArray(svg.encode()))
    side = min(into.width(), into.height())
    square = QRectF(0, 0, side, side)
    square.moveCenter(into.center())
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    renderer.render(painter, square)


class _TintedEngine(QIconEngine):
    """Draws one SVG in the colour that its mode and the current theme ask for."""

    def __init__(self, name: str, colour: str) -> None:
        super().__init__()
        self._name, self._colour = name, colour

    def _tint(self, mode: QIcon.Mode) -> str:
        current = tokens()
        if mode == QIcon.Mode.Disabled:
            return current.text_disabled
        if mode == QIcon.Mode.Selected:  # in a row that is filled with the selection
            return current.selection_text
        return str(getattr(current, self._colour))

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, _state: QIcon.State) -> None:
        """Draw straight onto the device: sharp at any scale."""
        painter.save()
        _draw(painter, self._name, QRectF(rect), self._tint(mode))
        painter.restore()

    def pixmap(self, size: QSize, mode: QIcon.Mode, _state: QIcon.State) -> QPixmap:
        return _rendered(self._name, size, self._tint(mode))

    def actualSize(self, size: QSize, _mode: QIcon.Mode, _state: QIcon.State) -> QSize:
        return size

    def clone(self) -> QIconEngine:
        # Qt takes the copy but the binding lets its Python half go: held here until Qt is done.
        _clones[:] = [engine for engine in _clones if isValid(engine)]
        copy = _TintedEngine(self._name, self._colour)
        _clones.append(copy)
        return copy


_clones: list[_TintedEngine] = []
