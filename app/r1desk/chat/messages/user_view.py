"""One message of the user: a soft bubble on the right, its exact text, an editor in its place."""

from functools import partial

from PySide6.QtCore import QRectF, Qt, Slot
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QToolButton, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.chat.messages.editable_message import EditableMessage, MessageTools
from r1desk.chat.text.attachment_chip import AttachmentRow, Chip, size_notes
from r1desk.chat.text.block_splitter import TypedSplitter
from r1desk.chat.text.buttons import BUTTON_INSET_EM, icon_button, text_button
from r1desk.chat.text.markdown_view import MarkdownView
from r1desk.chat.text.text_style import TextStyle
from r1desk.chat.values.intents import MoveMemory, OpenAttachment, Request
from r1desk.store import ChatMessage
from r1desk.theme import set_role
from r1desk.widgets.layouts import FittedWidget, discard, filled
from r1desk.widgets.text_label import call_with

FOLD_OVER = 20_000  # characters
FOLD_OVER_LINES = 40
_FOLDED = 2_000
_FOLDED_LINES = 12
_WIDEST = 0.85  # of the column
_RADIUS = 14.0


class MemoryLine(FittedWidget):
    """The line above the first message that the model reads; buttons move or remove it."""

    def __init__(self, style: TextStyle, request: Request, parent: QWidget) -> None:
        super().__init__(parent)
        label = QLabel(tr("The model reads from here"), self)
        style.dress(label, scale=0.88)
        self.setAccessibleName(label.text())
        row = filled(QHBoxLayout(self), spacing=round(style.em_px * 0.3))
        for part, stretch in ((QFrame(self), 1), (label, 0), (QFrame(self), 1)):
            row.addWidget(part, stretch, Qt.AlignmentFlag.AlignVCenter)
            if stretch:
                set_role(part, "rule")
        self.buttons: list[QToolButton] = []
        for name, text, turns in (
            ("chevron-up", tr("Start one message earlier"), -1),
            ("chevron-down", tr("Start one message later"), 1),
            ("close", tr("Read the whole chat"), 0),
        ):
            button = icon_button(name, text, self)
            call_with(button.clicked, request, MoveMemory(turns))
            row.addWidget(button)
            self.buttons.append(button)


class UserView(EditableMessage):
    """A bubble with the message's text, or the editor of it."""

    def __init__(self, message: ChatMessage, tools: MessageTools, parent: QWidget) -> None:
        super().__init__(message, tools, parent)
        self.more: QToolButton | None = None  # while only the beginning is shown
        self._bubble = QRectF()
        self.memory_line: MemoryLine | None = None
        self.setAccessibleName(tr("Your message"))
        content = message.content
        self._attached: AttachmentRow | None = None
        if message.attachments:
            self._attached = AttachmentRow(self, to_right=True)
            self._attached.show_chips(
                Chip(each.name, size_notes(each), partial(self._request, OpenAttachment(each)))
                for each in message.attachments
            )
        beginning = folded_text(content)
        if len(beginning) < len(content):
            label = tr("Show all {count} characters", count=f"{len(content):,}")
            self.more = text_button("chevron-down", label, self)
            self.more.clicked.connect(self.unfold)
        self.body = MarkdownView(self._style, self._slicer, self, TypedSplitter())
        self.body.grown.connect(self.grown)
        self.body.load(beginning, final=self.more is None)
        self._footer = self._add_footer()

    @Slot()
    def unfold(self) -> None:
        if self.more:
            discard(self.more)
            self.more = None
            self.body.load(self._message.content)
            self.grown.emit()

    def show_memory_line(self) -> None:
        """Show above the message that the model reads from here on."""
        self.memory_line = MemoryLine(self._style, self._request, self)

    def _set_text_visible(self, visible: bool) -> None:
        for part in (self.body, self._footer, self.more, self._attached, self.memory_line):
            if part:
                part.setVisible(visible)

    # ---- geometry

    def fit_width(self, width: int) -> int:
        if self.editor:
            height = self.editor.fit_width(width)
            self.resize(width, height)
            return height
        em = self._style.em_px
        pad_x, pad_y = round(em * 0.85), round(em * 0.55)
        footer = self._footer or self._add_footer()
        size = footer.sizeHint()
        beside = max(width - size.width(), width // 2)  # a wider one has an empty row below
        widest = min(round(width * _WIDEST), beside) - 2 * pad_x
        top = 0
        if self.memory_line:
            top = self.memory_line.fit_width(width) + round(em * 0.6)
        if self._attached:
            self._attached.move(0, top)
            top += self._attached.fit_width(width) + round(em * 0.3)
        height = self.body.fit_width(widest)
        inner = min(widest, self.body.ideal_width() + 1)
        if self.more:
            inner = max(inner, self.more.sizeHint().width())
        left = width - inner - pad_x
        y = top + pad_y
        self.body.move(left, y)
        y += height
        if self.more:
            size = self.more.sizeHint()
            self.more.setGeometry(left, y, size.width(), size.height())
            y += size.height()
        ends_with_code = self._message.content.rstrip().endswith(("```", "~~~"))
        y += round(pad_y * (1.3 if ends_with_code else 0.75))  # a line has its own space below
        self._bubble = QRectF(left - pad_x, top, inner + 2 * pad_x, y - top).adjusted(
            0.5, 0.5, -0.5, -0.5
        )
        if self._attached and not self._message.content:
            self._bubble = QRectF()
            y = top
        beside = round(self._bubble.left() - size.width())
        if self._bubble.height() >= size.height() and beside >= 0:  # no empty row below
            footer.setGeometry(beside, y - size.height(), size.width(), size.height())
            y += round(em * 0.5)
        else:
            y += round(em * 0.15)
            left = width - size.width() + round(em * BUTTON_INSET_EM)
            footer.setGeometry(left, y, size.width(), size.height())
            y += size.height()
        self.resize(width, y)
        self.update()
        return y

    def paintEvent(self, _event: QPaintEvent) -> None:
        if self.editor:
            return
        colours = self._style.colours
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        edge = QPen(colours.edge, 1) if colours.high_contrast else QPen(Qt.PenStyle.NoPen)
        painter.setPen(edge)
        painter.setBrush(colours.bubble)
        painter.drawRoundedRect(self._bubble, _RADIUS, _RADIUS)


def folded_text(content: str) -> str:
    """The part of a message that is shown at first: its beginning if it is long, else all of it."""
    if len(content) <= FOLD_OVER and content.count("\n") < FOLD_OVER_LINES:
        return content
    return "".join(content[:_FOLDED].splitlines(keepends=True)[:_FOLDED_LINES])
