"""One message of the user: a soft bubble on the right, its exact text, an editor in its place."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import QRectF, Qt, Signal, Slot
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QToolButton, QWidget

from deepseek_r1.core.words import tr
from r1desk.chat import text as fit
from r1desk.chat.buttons import BUTTON_INSET_EM, text_button
from r1desk.chat.editor import MessageEditor
from r1desk.chat.footer import Footer
from r1desk.chat.ink import Ink
from r1desk.chat.prose import ProseView
from r1desk.chat.slices import Slicer
from r1desk.chat.values import ShownMessage

FOLD_OVER = 20_000  # characters
_FOLDED = 2_000
_SLICE = 4_000
_WIDEST = 0.85  # of the column
_RADIUS = 14.0


class UserView(QWidget):
    """Signals: `grown` (the height may have changed), what was edited, which version is wanted."""

    grown = Signal()
    edited = Signal(str)
    sibling_chosen = Signal(int)

    def __init__(self, message: ShownMessage, ink: Ink, slicer: Slicer, parent: QWidget) -> None:
        super().__init__(parent)
        self._message = message
        self._ink = ink
        self._slicer = slicer
        self._pieces: list[ProseView] = []
        self._more: QToolButton | None = None
        self._editor: MessageEditor | None = None
        self._bubble = QRectF()
        self.setAccessibleName(tr("Your message"))
        content = message.content
        if len(content) > FOLD_OVER:
            self._add_piece(fit.slices(content, _FOLDED)[0])
            words = tr("Show all {count} characters", count=f"{len(content):,}")
            self._more = text_button("chevron-down", words, self)
            self._more.clicked.connect(self._on_more)
        elif len(content) > _SLICE:
            first, *rest = fit.slices(content, _SLICE)
            self._add_piece(first)
            slicer.add(self, self._unfolding(rest), urgent=True)
        else:
            self._add_piece(content)
        self._footer = Footer(message, ink, self)
        self._footer.edit_chosen.connect(self.edit)
        self._footer.sibling_chosen.connect(self.sibling_chosen)

    @property
    def is_folded(self) -> bool:
        """True while only the beginning is shown."""
        return self._more is not None

    @property
    def editor(self) -> MessageEditor | None:
        """The open editor."""
        return self._editor

    def plain_text(self) -> str:
        """What is drawn, as text."""
        return "\n".join(piece.plain_text() for piece in self._pieces)

    def _add_piece(self, content: str) -> None:
        piece = ProseView(self._ink, self)
        piece.append_text(content.removesuffix("\n"))
        piece.setVisible(self._editor is None)
        self._pieces.append(piece)

    @Slot()
    def _on_more(self) -> None:
        if self._more:
            self._more.hide()
            self._more.deleteLater()
            self._more = None
        first, *rest = fit.slices(self._message.content, _FOLDED)
        remaining = self._message.content[len(first) :] if rest else ""
        self._slicer.add(self, self._unfolding(fit.slices(remaining, _SLICE)))

    def _unfolding(self, rest: list[str]) -> Iterator[None]:
        for piece in rest:
            self._add_piece(piece)
            self.grown.emit()
            yield

    # ---- editing

    @Slot()
    def edit(self) -> None:
        """Open the editor in place of the text."""
        if self._editor:
            self._editor.setFocus()
            return
        self._editor = MessageEditor(self._message.content, self)
        self._editor.sent.connect(self._on_sent)
        self._editor.left.connect(self._on_left)
        self._set_text_visible(False)
        self._editor.show()
        self.grown.emit()
        self._editor.setFocus()

    @Slot(str)
    def _on_sent(self, text: str) -> None:
        self._on_left()
        self.edited.emit(text)

    @Slot()
    def _on_left(self) -> None:
        if self._editor:
            self._editor.hide()
            self._editor.deleteLater()
            self._editor = None
            self._set_text_visible(True)
            self.grown.emit()

    def _set_text_visible(self, visible: bool) -> None:
        for part in (*self._pieces, self._footer, self._more):
            if part:
                part.setVisible(visible)

    # ---- geometry

    def fit_width(self, width: int) -> int:
        """Lay out for `width` pixels; returns the height that takes."""
        if self._editor:
            height = self._editor.fit_width(width)
            self.resize(width, height)
            return height
        em = self._ink.em_px
        pad_x, pad_y = round(em * 0.85), round(em * 0.55)
        widest = round(width * _WIDEST) - 2 * pad_x
        heights = [piece.fit_width(widest) for piece in self._pieces]
        inner = min(widest, max(piece.ideal_width() for piece in self._pieces) + 1)
        if self._more:
            inner = max(inner, self._more.sizeHint().width())
        left = width - inner - pad_x
        y = pad_y
        for piece, height in zip(self._pieces, heights, strict=True):
            piece.move(left, y)
            y += height
        if self._more:
            size = self._more.sizeHint()
            self._more.setGeometry(left, y, size.width(), size.height())
            y += size.height()
        y += round(pad_y * 0.75)  # the last line has its own space below
        self._bubble = QRectF(left - pad_x, 0, inner + 2 * pad_x, y).adjusted(0.5, 0.5, -0.5, -0.5)
        y += round(em * 0.15)
        size = self._footer.sizeHint()
        self._footer.setGeometry(
            width - size.width() + round(em * BUTTON_INSET_EM), y, size.width(), size.height()
        )
        y += size.height()
        self.resize(width, y)
        self.update()
        return y

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The bubble."""
        if self._editor:
            return
        colours = self._ink.colours
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        edge = QPen(colours.edge, 1) if colours.high_contrast else QPen(Qt.PenStyle.NoPen)
        painter.setPen(edge)
        painter.setBrush(colours.bubble)
        painter.drawRoundedRect(self._bubble, _RADIUS, _RADIUS)
