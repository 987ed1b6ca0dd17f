"""One answer: thinking, status, text, note or error, and the row under it."""

from dataclasses import replace

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QWidget

from deepseek_r1.core.events import ThinkingEnd
from deepseek_r1.core.i18n import tr
from r1desk.chat.messages.answer_boxes import (
    AnswerBox,
    StatusLine,
    WaysRow,
    note_or_error,
    source_chips,
    ways_on,
)
from r1desk.chat.messages.editable_message import EditableMessage, MessageTools
from r1desk.chat.messages.thinking import ThinkingBox
from r1desk.chat.text.attachment_chip import AttachmentRow
from r1desk.chat.text.buttons import BUTTON_INSET_EM
from r1desk.chat.text.inline_renderer import SOURCE
from r1desk.chat.text.markdown_view import MarkdownView
from r1desk.chat.values.intents import ContextOptions, OpenAttachment, OpenLink
from r1desk.store import ChatMessage
from r1desk.widgets.layouts import discard


class AnswerView(EditableMessage):
    """All of an answer, also while it is being written."""

    def __init__(self, message: ChatMessage, tools: MessageTools, parent: QWidget) -> None:
        super().__init__(message, tools, parent)
        self._context_options: ContextOptions | None = None
        self.ways: AnswerBox | WaysRow | None = None
        self.thinking: ThinkingBox | None = None
        self._status: StatusLine | None = None
        self.note: AnswerBox | None = None  # or the error
        self.sources: AttachmentRow | None = None
        self.body = self._new_body()
        self.setAccessibleName(tr("Answer"))
        if message.thinking:
            self._thinking_box().load(
                message.thinking,
                message.thinking_s,
                _end_of(message),
                final=message.state != "streaming" or bool(message.content),
            )
        if message.state == "streaming":
            self.body.load(message.content, final=False)
        elif message.state == "queued":
            self.body.load("", final=False)
            self._show_ways_on()
        else:
            self.body.load(message.content)
            self._conclude()

    # ---- streaming

    def show_status(self, text: str, fraction: float | None) -> None:
        if self._status is None:
            self._status = StatusLine(self._style, self)
            self._status.show()
        self._status.show_status(text, fraction)

    def feed_thinking(self, text: str) -> None:
        self._remove_status()
        self._thinking_box().feed(text)

    def finish_thinking(self, seconds: float, end: ThinkingEnd | None = None) -> None:
        if self.thinking:
            self.thinking.finish(seconds, end)

    def set_last(self, is_last: bool) -> None:
        """Another message is the last one now, or this one is: only the last answer can go on."""
        if is_last != self._is_last:
            super().set_last(is_last)
            if self._footer and self._message.state != "streaming":
                self._show_ways_on()
                self.grown.emit()

    def show_context_options(self, options: ContextOptions | None) -> None:
        self._context_options = options
        if self._footer:
            self._show_ways_on()
            self.grown.emit()

    def feed(self, text: str) -> None:
        self._remove_status()
        self.body.feed(text)

    def finish(self, message: ChatMessage) -> None:
        """The answer is complete: make what is drawn exactly what is stored."""
        self._message = message
        self._remove_status()
        if message.thinking or self.thinking:
            box = self._thinking_box()
            box.finish(message.thinking_s, _end_of(message))
            if box.text != message.thinking:
                box.replace(message.thinking, message.thinking_s)
        if self.body.source == message.content:
            self.body.finish()
        else:
            discard(self.body)
            self.body = self._new_body()
            self.body.load(message.content)
            self.body.show()
        self._conclude()

    # ---- parts

    def _new_body(self) -> MarkdownView:
        sources = self._message.sources
        style = replace(self._style, sources=sources.names()) if sources else self._style
        body = MarkdownView(style, self._slicer, self)
        body.grown.connect(self.grown)
        body.link_chosen.connect(self._on_link)
        return body

    @Slot(str)
    def _on_link(self, address: str) -> None:
        sources = self._message.sources
        if sources is None or not address.startswith(SOURCE):
            self._request(OpenLink(address))
            return
        (source,) = (each for each in sources.sent if address == f"{SOURCE}{each.n}")
        sentence = sources.sentence(source, self._message.content)
        self._request(OpenAttachment(source.passage, sentence))

    def _thinking_box(self) -> ThinkingBox:
        if self.thinking is None:
            self.thinking = ThinkingBox(self._message.id, self._tools, self)
            self.thinking.grown.connect(self.grown)
            self.thinking.show()
        return self.thinking

    def _remove_status(self) -> None:
        discard(self._status)
        self._status = None

    def _conclude(self) -> None:
        message = self._message
        discard(self.note, self._footer, self.sources)
        self.sources = None
        self.note = note_or_error(message, self._style, self._request, self)
        if self.note is not None:
            self.note.show()
        if message.content and message.sources is not None:
            self.sources = AttachmentRow(self)
            self.sources.setAccessibleName(tr("Sources"))
            self.sources.show_chips(source_chips(message, message.sources, self._request))
            self.sources.show()
        self._add_footer().show()
        self._show_ways_on()

    def _show_ways_on(self) -> None:
        options, is_last = self._context_options, self._is_last
        discard(self.ways)
        self.ways = ways_on(self._message, options, is_last, self._style, self._request, self)
        if self.ways is not None:
            self.ways.show()

    def _set_text_visible(self, visible: bool) -> None:
        self.body.setVisible(visible)

    # ---- geometry

    def fit_width(self, width: int) -> int:
        em = self._style.em_px
        y, inset = 0, round(em * BUTTON_INSET_EM)
        body = self.editor or (self.body if self.body.source else None)
        parts = (
            (self.thinking, 0.45),
            (self._status, 0.3),
            (body, 0.45),
            (self.sources, 0.3),
            (self.note, 0.45),
            (self.ways, 0.45),
        )
        for part, gap in parts:
            if part:
                part.move(0, y)
                y += part.fit_width(width) + round(gap * em)
        if self._footer:
            self._footer.move(-inset, y)
            y += self._footer.fit_width(width + inset)
        self.resize(width, y)
        return y


def _end_of(message: ChatMessage) -> ThinkingEnd | None:
    return message.stats.thinking_end if message.stats is not None else None
