"""The chat view: a branch of a conversation, and the answer that is being written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtCore import QEvent, Signal, Slot
from PySide6.QtGui import QGuiApplication, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QStackedLayout, QWidget

from deepseek_r1.core.messages import Role
from deepseek_r1.core.words import tr
from r1desk.chat.answer_view import AnswerView
from r1desk.chat.buttons import RoundButton
from r1desk.chat.column import MessageColumn
from r1desk.chat.ink import Ink
from r1desk.chat.pace import DrawingPace
from r1desk.chat.places import MessageView, estimated_height
from r1desk.chat.slices import Slicer
from r1desk.chat.stats import reading_line
from r1desk.chat.user_view import UserView
from r1desk.chat.values import ShownMessage
from r1desk.chat.welcome import Welcome

_SHEET = """
QTextBrowser, QTextBrowser:focus, QTextEdit#code, QTextEdit#code:focus {
  border: none; padding: 0; margin: 0; background: transparent; border-radius: 0; }
"""


class ChatView(QWidget):
    """Shows messages and says what the user asks for; it changes nothing by itself.

    Signals:
        edit_requested: a user's message is to be sent again with this text.
        regenerate_requested: an answer is to be written again.
        sibling_requested: another version of a message is wanted, -1 before or 1 after it.
        stop_requested: Escape while an answer is written.
        link_activated: an http(s) address was chosen. It is never opened here.
        example_chosen: a question of the empty state.
    """

    edit_requested = Signal(int, str)
    regenerate_requested = Signal(int)
    sibling_requested = Signal(int, int)
    stop_requested = Signal()
    link_activated = Signal(str)
    example_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setStyleSheet(_SHEET)
        # It takes what the others leave; its own wish must not squeeze a notice above it.
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)
        self._messages: dict[int, ShownMessage] = {}
        self._streaming: int | None = None
        self._thinking_buffer: list[str] = []
        self._answer_buffer: list[str] = []
        self._slicer = Slicer(self)
        self._ink = Ink.of(QGuiApplication.palette(), self.font())
        self._column = MessageColumn(self._build, self._estimate, self._slicer, self)
        self._column.end_shown.connect(self._on_end_shown)
        self.welcome = Welcome(self)
        self.welcome.set_model_name("")
        self.welcome.example_chosen.connect(self.example_chosen)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self.welcome)
        self._stack.addWidget(self._column)
        self._jump = self._make_jump()
        self._pace = DrawingPace(self)
        self._pace.due.connect(self._flush)

    def _make_jump(self) -> RoundButton:
        jump = RoundButton("arrow-down", tr("Jump to the end"), self, filled=False)
        jump.setObjectName("jump")
        jump.clicked.connect(self.jump_to_end)
        jump.hide()
        return jump

    # ---- messages

    @property
    def messages(self) -> list[ShownMessage]:
        """The messages shown, first one first."""
        return list(self._messages.values())

    @property
    def built_count(self) -> int:
        """How many messages exist as widgets."""
        return self._column.built

    @property
    def column(self) -> MessageColumn:
        """The scrolling part."""
        return self._column

    def set_model_name(self, name: str, note: str = "") -> None:
        """The model that answers, and what to expect of it, for the greeting."""
        self.welcome.set_model_name(name, note)

    def show_branch(self, messages: Sequence[ShownMessage]) -> None:
        """Show this conversation, from its end. A message that is streaming streams on."""
        self._end_stream()
        before = self._messages
        self._messages = {message.id: message for message in messages}
        self._stack.setCurrentWidget(self._column if messages else self.welcome)
        same = {message.id for message in messages if before.get(message.id) == message}
        self._column.show_keys(list(self._messages), same)
        self._jump.setVisible(False)
        if messages and messages[-1].state == "streaming":
            self.begin_stream(messages[-1].id)

    def append(self, message: ShownMessage) -> None:
        """Add one message at the end and go there."""
        self._messages[message.id] = message
        self._stack.setCurrentWidget(self._column)
        self._column.add_key(message.id)
        self._column.to_end()

    def view(self, message_id: int) -> MessageView | None:
        """The widget of a message, if it is built."""
        return self._column.view(message_id)

    def edit_last(self) -> None:
        """Open the editor of the user's last message."""
        for message in reversed(self._messages.values()):
            if not message.is_answer:
                self._column.show_key(message.id)
                view = self._column.build_now(message.id)
                if isinstance(view, UserView):
                    view.edit()
                return

    @Slot()
    def jump_to_end(self) -> None:
        """Go to the end and follow it."""
        self._column.to_end()

    # ---- streaming

    def begin_stream(self, message_id: int) -> None:
        """The message will grow; one that is not shown yet is added."""
        self._end_stream()
        if message_id not in self._messages:
            self.append(ShownMessage(message_id, Role.ASSISTANT, "", state="streaming"))
        message = self._messages[message_id]
        if message.state != "streaming":
            self._messages[message_id] = replace(message, state="streaming")
            self._column.rebuild(message_id)
        self._streaming = message_id
        self._column.build_now(message_id)
        self._column.pin(message_id, True)
        self._column.to_end()

    def stream_status(self, message_id: int, words: str, fraction: float | None = None) -> None:
        """Show what the engine is doing, with a bar when `fraction` (0 to 1) is given."""
        if view := self._stream_view(message_id):
            view.tell(words, fraction)
            self._grew(message_id)

    def stream_reading(self, message_id: int, done: int, total: int, cached: int = 0) -> None:
        """Show how far the prompt is read, in tokens."""
        fraction = done / total if total else None
        self.stream_status(message_id, reading_line(done, total, cached), fraction)

    def stream_thinking(self, message_id: int, text: str) -> None:
        """More thinking; drawn with the next flush."""
        if message_id == self._streaming:
            self._thinking_buffer.append(text)
            self._pace.start()

    def thinking_finished(self, message_id: int, seconds: float) -> None:
        """The thinking took `seconds`."""
        if view := self._stream_view(message_id):
            self._flush()
            view.finish_thinking(seconds)
            message = self._messages[message_id]
            self._messages[message_id] = replace(message, thinking_s=seconds)
            self._grew(message_id)

    def stream_answer(self, message_id: int, text: str) -> None:
        """More of the answer; drawn with the next flush."""
        if message_id == self._streaming:
            self._answer_buffer.append(text)
            self._pace.start()

    def finish_stream(self, message: ShownMessage) -> None:
        """The answer is complete; what is drawn becomes exactly this message."""
        streamed = message.id == self._streaming
        if streamed:
            self._flush()
            self._end_stream()
        if message.id not in self._messages:
            return
        self._messages[message.id] = message
        view = self._column.view(message.id)
        if streamed and isinstance(view, AnswerView):
            view.finish(message)
            self._grew(message.id)
        else:
            self._column.rebuild(message.id)

    def _stream_view(self, message_id: int) -> AnswerView | None:
        view = self._column.view(message_id) if message_id == self._streaming else None
        return view if isinstance(view, AnswerView) else None

    def _end_stream(self) -> None:
        self._pace.stop()
        self._thinking_buffer.clear()
        self._answer_buffer.clear()
        if self._streaming in self._messages:
            self._column.pin(self._streaming, False)
        self._streaming = None

    @Slot()
    def _flush(self) -> None:
        """Draw what has arrived since the last time."""
        if not (self._thinking_buffer or self._answer_buffer) or self._streaming is None:
            self._pace.stop()
            return
        key = self._streaming
        thinking, answer = "".join(self._thinking_buffer), "".join(self._answer_buffer)
        self._thinking_buffer.clear()
        self._answer_buffer.clear()
        message = self._messages[key]
        self._messages[key] = replace(
            message, thinking=message.thinking + thinking, content=message.content + answer
        )
        view = self._column.view(key)
        if isinstance(view, AnswerView):
            if thinking:
                view.feed_thinking(thinking)
            if answer:
                view.feed(answer)
            self._grew(key)

    def _grew(self, message_id: int) -> None:
        self._column.changed(message_id)
        self._column.place()

    # ---- building

    def _build(self, message_id: int, parent: QWidget) -> MessageView:
        message = self._messages[message_id]
        if message.is_answer:
            answer = AnswerView(message, self._ink, self._slicer, parent)
            answer.link_chosen.connect(self.link_activated)
            answer.regenerate_chosen.connect(self._on_regenerate)
            answer.sibling_chosen.connect(self._on_sibling)
            answer.setProperty("message", message_id)
            return answer
        user = UserView(message, self._ink, self._slicer, parent)
        user.edited.connect(self._on_edited)
        user.sibling_chosen.connect(self._on_sibling)
        user.setProperty("message", message_id)
        return user

    def _estimate(self, message_id: int, width: int) -> int:
        return estimated_height(self._messages[message_id], width, self._ink.em_px)

    @Slot()
    def _on_regenerate(self) -> None:
        self.regenerate_requested.emit(self._sending())

    @Slot(int)
    def _on_sibling(self, delta: int) -> None:
        self.sibling_requested.emit(self._sending(), delta)

    @Slot(str)
    def _on_edited(self, text: str) -> None:
        self.edit_requested.emit(self._sending(), text)

    def _sending(self) -> int:
        return int(self.sender().property("message"))

    # ---- what Qt tells

    @Slot(bool)
    def _on_end_shown(self, shown: bool) -> None:
        self._jump.setVisible(not shown)
        if not shown:
            self._place_jump()

    def _place_jump(self) -> None:
        size = self._jump.sizeHint()
        x = (self.width() - size.width()) // 2
        self._jump.setGeometry(x, self.height() - size.height() - 12, size.width(), size.height())
        self._jump.raise_()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the button at the bottom."""
        super().resizeEvent(event)
        self._place_jump()

    def changeEvent(self, event: QEvent) -> None:
        """Other colours or another font: build what is visible anew."""
        super().changeEvent(event)
        kinds = QEvent.Type
        if event.type() in {kinds.PaletteChange, kinds.FontChange, kinds.ApplicationFontChange}:
            ink = Ink.of(QGuiApplication.palette(), self.font())
            if ink != self._ink:
                self._ink = ink
                self.update()
                self._column.rebuild()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The colour one reads on."""
        QPainter(self).fillRect(self.rect(), self._ink.colours.background)
