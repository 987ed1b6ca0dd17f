"""Draws an answer's Markdown as a stack of text views and code boxes while it grows."""

from collections.abc import Iterator
from typing import TypeGuard

from markdown_it.token import Token
from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QWidget

from r1desk.chat.text.block_splitter import BlockSplitter, MarkdownBlock
from r1desk.chat.text.code_box import CodeBox
from r1desk.chat.text.prose_view import ProseView
from r1desk.chat.text.text_style import TextStyle
from r1desk.chat.text.time_slicer import Slicer

_GROUP_SIZE = 2_500  # of running text in one view: what a change has to lay out again
_SLICE_CHARS, _SLICE_LINES = 800, 60  # each three lines may be a code block, a widget of its own
_MAX_CODE_BOXES = 200  # in one message: each is a widget of 0.14 MiB; further code is plain text
_GAP_EM = 0.6
_HEADING_GAP_EM = 0.9

Piece = ProseView | CodeBox


class MarkdownView(QWidget):
    """Draws Markdown that is fed in pieces. Finished blocks are never touched again."""

    grown = Signal()  # the height may have changed
    link_chosen = Signal(str)  # an http(s) address was activated

    def __init__(
        self,
        style: TextStyle,
        slicer: Slicer,
        parent: QWidget | None = None,
        splitter: BlockSplitter | None = None,
    ) -> None:
        """`splitter`: what cuts the text into blocks, where it is not Markdown."""
        super().__init__(parent)
        self._style, self._slicer = style, slicer
        self._splitter = splitter or BlockSplitter()
        self._pieces: list[Piece] = []
        self._tail: list[Piece] = []
        self._code_head: CodeBox | None = None
        self._code_blocks = 0  # committed ones
        self._heights: dict[Piece, int] = {}
        self._width = 0
        self._consumed = 0  # characters of the source given to the splitter
        self._loading = False
        self._ending = False
        self.source = ""
        self.finished = False

    # ---- text

    def feed(self, text: str) -> None:
        """Add text and show it; while a stored text is loading, it is shown after that."""
        self.source += text
        if not self._loading:
            self._consume(len(self.source))
            self._show_tail(self._splitter.tail())

    def finish(self) -> None:
        self._ending = True
        if self._loading or self.finished:
            return
        self.finished = True
        self._commit(self._splitter.finish())
        self._show_tail([])

    def load(self, source: str, *, final: bool = True) -> None:
        """Show a text, the first part at once and the rest in slices.

        It may begin with what was loaded before without being final.
        """
        self.source = source
        self._ending = final
        self._consume_slice()
        if self._consumed < len(source):
            self._loading = True
            self._slicer.add(self, self._load_rest(), urgent=True)
        elif final:
            self.finish()
        else:
            self._show_tail(self._splitter.tail())

    def _load_rest(self) -> Iterator[None]:
        while self._consumed < len(self.source):
            self._consume_slice()
            self.grown.emit()
            yield
        self._loading = False
        if self._ending:
            self.finish()
        else:
            self._show_tail(self._splitter.tail())
        self.grown.emit()

    def _consume_slice(self) -> None:
        """Commit what is final of the next slice of the source."""
        end = self._consumed + _SLICE_CHARS
        lines = self.source[self._consumed : end].split("\n", _SLICE_LINES)
        self._consume(end - len(lines[-1]) if len(lines) > _SLICE_LINES else end)

    def _consume(self, end: int) -> None:
        """Commit what is final of the source up to `end`."""
        piece = self.source[self._consumed : end]
        self._consumed += len(piece)
        self._commit(self._splitter.feed(piece))

    # ---- pieces

    def _commit(self, blocks: list[MarkdownBlock]) -> None:
        for block in _merged(self._without_excess_code(blocks), _GROUP_SIZE):
            if block.is_code:
                self._commit_code(block)
            else:
                self._commit_prose(block)

    def _without_excess_code(self, blocks: list[MarkdownBlock]) -> list[MarkdownBlock]:
        """Blocks to commit, those of code as text where a message has very many of them."""
        kept: list[MarkdownBlock] = []
        for block in blocks:
            self._code_blocks += block.is_code and not block.continued
            kept.append(_as_text(block) if self._code_blocks > _MAX_CODE_BOXES else block)
        return kept

    def _commit_code(self, block: MarkdownBlock) -> None:
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

    def _commit_prose(self, block: MarkdownBlock) -> None:
        last = self._pieces[-1] if self._pieces else None
        if not self._has_space_for(last, block):
            last = self._new_prose(block)
            self._pieces.append(last)
        last.append_tokens(block.tokens)
        self._changed(last)

    @staticmethod
    def _has_space_for(piece: Piece | None, block: MarkdownBlock) -> TypeGuard[ProseView]:
        """Whether committed text goes into this view."""
        return (
            isinstance(piece, ProseView)
            and not (block.is_table or piece.scrolls)
            and piece.filled <= _GROUP_SIZE
        )

    def _show_tail(self, blocks: list[MarkdownBlock]) -> None:
        """Draw the open end, in the widgets it had before where their kind still fits."""
        most = _MAX_CODE_BOXES - self._code_blocks
        wanted = _merged([_as_text(b) if most < (not b.continued) else b for b in blocks])
        for index, block in enumerate(wanted):
            piece = self._tail[index] if index < len(self._tail) else None
            if piece is None or not _fits(piece, block):
                self._drop(self._tail[index:])
                del self._tail[index:]
                new = self._new_code_box(block) if block.is_code else self._new_prose(block)
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

    def _new_prose(self, block: MarkdownBlock) -> ProseView:
        piece = ProseView(self._style, self, scrolls=block.is_table)
        if self._width:
            piece.fit_width(self._width)
        piece.lead_em = _gap(block)
        piece.link_chosen.connect(self.link_chosen)
        piece.formulas_changed.connect(self._on_formulas_changed)
        piece.show()
        return piece

    def _new_code_box(self, block: MarkdownBlock) -> CodeBox:
        language, continued = block.language, block.continued
        piece = CodeBox(
            self._style, self._slicer, language=language, continued=continued, parent=self
        )
        piece.show()
        return piece

    @Slot()
    def _on_formulas_changed(self) -> None:
        piece = self.sender()
        if isinstance(piece, ProseView):
            self._changed(piece)
            self.grown.emit()

    def _changed(self, piece: Piece) -> None:
        self._heights.pop(piece, None)

    def _drop(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            self._heights.pop(piece, None)
            piece.hide()
            piece.deleteLater()

    # ---- geometry

    def fit_width(self, width: int) -> int:
        if width != self._width:
            self._width = width
            self._heights.clear()
        y = 0
        for index, piece in enumerate([*self._pieces, *self._tail]):
            if index and not (isinstance(piece, CodeBox) and piece.continued):
                y += round(self._style.em_px * piece.lead_em)
            height = self._heights.get(piece)
            if height is None:
                height = self._heights[piece] = piece.fit_width(width)
            if piece.y() != y:
                piece.move(0, y)
            y += height
        self.resize(width, y)
        return y

    def ideal_width(self) -> int:
        """The width of the longest line; a code box takes all there is."""
        pieces = [*self._pieces, *self._tail]
        widths = [p.ideal_width() if isinstance(p, ProseView) else self._width for p in pieces]
        return max(widths, default=0)


def _as_text(block: MarkdownBlock) -> MarkdownBlock:
    """A block of code as a part of running text, which needs no widget of its own."""
    if not block.is_code:
        return block
    return MarkdownBlock((Token("fence", "code", 0, content=f"{block.code}\n"),), size=block.size)


def _fits(piece: Piece, block: MarkdownBlock) -> bool:
    """Whether a widget of the open end can show what `block` is by now."""
    if isinstance(piece, CodeBox):
        return _holds(piece, block)
    return not block.is_code and piece.scrolls == block.is_table


def _holds(box: CodeBox, block: MarkdownBlock) -> bool:
    # The fence may have come in two pieces, and the language with the second.
    return block.is_code and (box.language, box.continued) == (block.language, block.continued)


def _is_running(block: MarkdownBlock) -> bool:
    """Whether it can share a view with its neighbours."""
    return not (block.is_code or block.is_table)


def _gap(block: MarkdownBlock) -> float:
    if block.is_continued_text:
        return 0.0
    heading = bool(block.tokens) and block.tokens[0].type == "heading_open"
    return _HEADING_GAP_EM if heading else _GAP_EM


def _merged(blocks: list[MarkdownBlock], size: int = 0) -> list[MarkdownBlock]:
    """Neighbouring blocks of running text as one, up to a size if one is given."""
    merged: list[MarkdownBlock] = []
    for block in blocks:
        last = merged[-1] if merged else None
        if last and _is_running(block) and _is_running(last) and (not size or last.size < size):
            merged[-1] = MarkdownBlock(
                tokens=last.tokens + block.tokens, size=last.size + block.size
            )
        else:
            merged.append(block)
    return merged
