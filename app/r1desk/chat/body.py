"""An answer's text as a stack of pieces: running text and code boxes, drawn while it grows."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from r1desk.chat.code_box import CodeBox
from r1desk.chat.ink import Ink
from r1desk.chat.markdown import Block, BlockSplitter
from r1desk.chat.prose import ProseView
from r1desk.chat.slices import Slicer

_GROUP_SIZE = 2_500  # of running text in one view: what a change has to lay out again
_SLICE_CHARS = 800
_GAP_EM = 0.6
_HEADING_GAP_EM = 0.9

Piece = ProseView | CodeBox


class MarkdownBody(QWidget):
    """Draws Markdown that is fed in pieces. Finished blocks are never touched again.

    Signals:
        grown: the height may have changed.
        link_chosen: an http(s) address was activated.
    """

    grown = Signal()
    link_chosen = Signal(str)

    def __init__(self, ink: Ink, slicer: Slicer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._ink = ink
        self._slicer = slicer
        self._splitter = BlockSplitter()
        self._pieces: list[Piece] = []
        self._tail: list[Piece] = []
        self._code_head: CodeBox | None = None
        self._heights: dict[Piece, int] = {}
        self._width = 0
        self._taken = 0  # characters of the source that the splitter has
        self._loading = False
        self._ending = False
        self.source = ""
        self.finished = False

    # ---- text

    def feed(self, text: str) -> None:
        """Add text and show it; behind a text that is still loading, it waits its turn."""
        self.source += text
        if not self._loading:
            self._take(len(self.source))
            self._show_tail(self._splitter.tail())

    def finish(self) -> None:
        """The text is complete."""
        self._ending = True
        if self._loading or self.finished:
            return
        self.finished = True
        self._commit(self._splitter.finish())
        self._show_tail([])

    def load(self, source: str, *, final: bool = True) -> None:
        """Show a text, the first part at once and the rest in slices."""
        self.source = source
        self._ending = final
        self._take(_SLICE_CHARS)
        if self._taken < len(source):
            self._loading = True
            self._slicer.add(self, self._load_rest(), urgent=True)
        elif final:
            self.finish()
        else:
            self._show_tail(self._splitter.tail())

    def _load_rest(self) -> Iterator[None]:
        while self._taken < len(self.source):
            self._take(self._taken + _SLICE_CHARS)
            self.grown.emit()
            yield
        self._loading = False
        if self._ending:
            self.finish()
        else:
            self._show_tail(self._splitter.tail())
        self.grown.emit()

    def _take(self, end: int) -> None:
        """Commit what is final of the source up to `end`."""
        piece = self.source[self._taken : end]
        self._taken += len(piece)
        self._commit(self._splitter.feed(piece))

    # ---- pieces

    def _commit(self, blocks: list[Block]) -> None:
        for block in _merged(blocks, _GROUP_SIZE):
            if block.is_code:
                self._commit_code(block)
            else:
                self._commit_prose(block)

    def _commit_code(self, block: Block) -> None:
        open_box = self._tail[0] if len(self._tail) == 1 else None
        if isinstance(open_box, CodeBox) and _holds(open_box, block):
            self._tail.clear()
            box = open_box
        else:
            box = self._new_code_box(block)
        self._pieces.append(box)
        box.set_code(block.code, final=True)
        if not block.continued:
            self._code_head = box
        elif self._code_head:
            self._code_head.add_part(block.code)
            self._connect_boxes()
        self._changed(box)

    def _connect_boxes(self) -> None:
        above = self._pieces[-2] if len(self._pieces) > 1 else None
        if isinstance(above, CodeBox):
            above.followed = True
            self._changed(above)

    def _commit_prose(self, block: Block) -> None:
        last = self._pieces[-1] if self._pieces else None
        if not isinstance(last, ProseView) or last.filled > _GROUP_SIZE:
            last = self._new_prose(_gap(block))
            self._pieces.append(last)
        last.append_tokens(block.tokens)
        self._changed(last)

    def _show_tail(self, blocks: list[Block]) -> None:
        """Draw the open end, in the widgets it had before where their kind still fits."""
        wanted = _merged(blocks)
        for index, block in enumerate(wanted):
            piece = self._tail[index] if index < len(self._tail) else None
            if piece is None or not _fits(piece, block):
                self._drop(self._tail[index:])
                del self._tail[index:]
                new = self._new_code_box(block) if block.is_code else self._new_prose(_gap(block))
                self._tail.append(new)
            piece = self._tail[index]
            if isinstance(piece, CodeBox):
                piece.set_code(block.code, final=False)
            else:
                piece.lead_em = _gap(block)
                piece.replace_tokens(block.tokens)
            self._changed(piece)
        self._drop(self._tail[len(wanted) :])
        del self._tail[len(wanted) :]

    def _new_prose(self, lead_em: float) -> ProseView:
        piece = ProseView(self._ink, self)
        if self._width:
            piece.fit_width(self._width)
        piece.lead_em = lead_em
        piece.link_chosen.connect(self.link_chosen)
        piece.show()
        return piece

    def _new_code_box(self, block: Block) -> CodeBox:
        piece = CodeBox(
            self._ink,
            self._slicer,
            language=block.language,
            continued=block.continued,
            parent=self,
        )
        piece.show()
        return piece

    def _changed(self, piece: Piece) -> None:
        self._heights.pop(piece, None)

    def _drop(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            self._heights.pop(piece, None)
            piece.hide()
            piece.deleteLater()

    # ---- geometry

    def fit_width(self, width: int) -> int:
        """Lay out for `width` pixels; returns the height that takes."""
        if width != self._width:
            self._width = width
            self._heights.clear()
        y = 0
        for index, piece in enumerate([*self._pieces, *self._tail]):
            if index and not (isinstance(piece, CodeBox) and piece.continued):
                y += round(self._ink.em_px * piece.lead_em)
            height = self._heights.get(piece)
            if height is None:
                height = self._heights[piece] = piece.fit_width(width)
            if piece.y() != y:
                piece.move(0, y)
            y += height
        self.resize(width, y)
        return y

    def plain_text(self) -> str:
        """What is drawn, as text: for tests and screen readers."""
        return "\n".join(piece.plain_text() for piece in [*self._pieces, *self._tail])


def _fits(piece: Piece, block: Block) -> bool:
    """Whether a widget of the open end can show what `block` is by now."""
    return _holds(piece, block) if isinstance(piece, CodeBox) else not block.is_code


def _holds(box: CodeBox, block: Block) -> bool:
    # The fence may have come in two pieces, and the language with the second.
    return block.is_code and (box.language, box.continued) == (block.language, block.continued)


def _gap(block: Block) -> float:
    heading = bool(block.tokens) and block.tokens[0].type == "heading_open"
    return _HEADING_GAP_EM if heading else _GAP_EM


def _merged(blocks: list[Block], size: int = 0) -> list[Block]:
    """Neighbouring blocks of running text as one, up to a size if one is given."""
    merged: list[Block] = []
    for block in blocks:
        last = merged[-1] if merged else None
        if last and not (block.is_code or last.is_code) and (not size or last.size < size):
            merged[-1] = Block(tokens=last.tokens + block.tokens, size=last.size + block.size)
        else:
            merged.append(block)
    return merged
