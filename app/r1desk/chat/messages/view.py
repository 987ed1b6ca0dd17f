"""The chat view: a branch of a conversation, and the answer that is being written."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath

from PySide6.QtCore import QEvent, Qt, Signal, Slot
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.core.events import (
    AnswerDelta,
    Event,
    PrefillProgress,
    ThinkingDelta,
    ThinkingEnd,
    ThinkingFinished,
)
from deepseek_r1.core.i18n import tr
from r1desk.chat.formulas.formula_service import FormulaService
from r1desk.chat.messages.answer_view import AnswerView
from r1desk.chat.messages.editable_message import MessageTools
from r1desk.chat.messages.message_list import MessageList, MessageView
from r1desk.chat.messages.stats_line import ReadingEstimate, reading_line
from r1desk.chat.messages.text_finder import FindBar, TextFinder
from r1desk.chat.messages.user_view import UserView, folded_text
from r1desk.chat.messages.welcome import Welcome
from r1desk.chat.text import display_text as fit
from r1desk.chat.text.buttons import text_button
from r1desk.chat.text.message_selection import MESSAGE
from r1desk.chat.text.text_style import TextStyle
from r1desk.chat.text.time_slicer import DrawThrottle, Slicer
from r1desk.chat.values.intents import ContextOptions, LoadModel, ReturnToComposer
from r1desk.chat.values.prompt import memory_start
from r1desk.store import ChatMessage
from r1desk.theme import explain, icon, set_role
from r1desk.theme.fonts import scaled
from r1desk.widgets.layouts import filled, put_inside
from r1desk.widgets.text_label import ElidedLabel, call_with

MAX_CHARACTERS = 400  # of the instructions
STYLE_SHEET = """
QTextBrowser, QTextBrowser:focus, QTextEdit#code, QTextEdit#code:focus {
  border: none; padding: 0; margin: 0; background: transparent; border-radius: 0; }
#instructions { margin-top: 5px; }
"""


class InstructionsChip(QFrame):
    """Shows the system prompt in one line, all of it in its tooltip; hidden while it is empty."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("instructions")
        set_role(self, "card")
        self.label = ElidedLabel(self)
        self.label.setTextFormat(Qt.TextFormat.PlainText)
        self.label.setFont(scaled(self.font(), 0.88))
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        filled(QHBoxLayout(self), self.label, margins=(12, 3, 12, 3))
        self.hide()

    def set_instructions(self, text: str) -> None:
        """Show a system prompt; an empty one hides the line."""
        line = fit.prose(" ".join(text[:MAX_CHARACTERS].split()))
        self.label.setText(tr("Instructions: {instructions}", instructions=line) if line else "")
        self.setToolTip(fit.plain_tooltip(text[: 10 * MAX_CHARACTERS]))
        self.setVisible(bool(line))


class ChatView(QWidget):
    """Shows messages; it changes nothing by itself."""

    requested = Signal(object)  # an `Intent` of this widget or of one inside it

    def __init__(self, parent: QWidget | None = None, *, welcomes: bool = True) -> None:
        """`welcomes`: it has a page for a conversation without messages."""
        super().__init__(parent)
        self._messages: dict[int, ChatMessage] = {}
        self.setStyleSheet(STYLE_SHEET)
        # It takes what the others leave; its own wish must not squeeze a notice above it.
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)
        self._streaming: int | None = None
        self._memory_line: int | None = None  # the message above which the line is drawn
        self._context_options: ContextOptions | None = None
        self._open_thinking: set[int] = set()  # messages whose thinking the user has unfolded
        self._new_thinking = self._new_answer = ""  # not drawn yet
        self._reading = ReadingEstimate()
        self._slicer = Slicer(self)
        self._formulas = FormulaService(self)
        self._style = TextStyle.of(self.font(), self._formulas)
        self.column = MessageList(self._build, self._estimate, self._slicer, self)
        self.instructions = InstructionsChip(self)
        self.find_bar = FindBar(self)
        self.find_bar.text_changed.connect(self._on_find_text)
        call_with(self.find_bar.closed, self.requested.emit, ReturnToComposer())
        column = filled(QVBoxLayout(self), self.find_bar, spacing=0)
        row = put_inside(column, QHBoxLayout())
        row.addStretch()
        row.addWidget(self.instructions)
        row.addStretch()
        self._offered_model = ""
        self._model_offer = QPushButton(icon("refresh"), "", self)
        self._model_offer.clicked.connect(self._on_offer)
        self._model_offer.hide()
        self._stack = put_inside(column, QStackedLayout())
        if welcomes:
            self.welcome = Welcome(self.requested.emit, self)
            self.welcome.set_model_name("")
            self._stack.addWidget(self.welcome)
        self._stack.addWidget(self.column)
        self._finder = TextFinder(self.column, self._slicer)
        self.find_bar.stepped.connect(self._finder.step)
        self._jump = text_button("arrow-down", tr("Jump to the end"), self)
        self._jump.setObjectName("jump")
        self._jump.clicked.connect(self.column.to_end)
        self.column.end_shown.connect(self._jump.setHidden)
        self._jump.hide()
        for button in (self._jump, self._model_offer):
            column.addWidget(button, 0, Qt.AlignmentFlag.AlignHCenter)
        self._throttle = DrawThrottle(self)
        self._throttle.due.connect(self._flush)

    # ---- messages

    @property
    def messages(self) -> list[ChatMessage]:
        return list(self._messages.values())

    @Slot()
    def _on_offer(self) -> None:
        self.requested.emit(LoadModel(self._offered_model))

    def offer_model(self, path: str, name: str = "") -> None:
        """Offer to load the model that answered here before; an empty path offers nothing."""
        self._offered_model = path
        self._model_offer.setText(tr("Switch back to {name}", name=name))
        explain(self._model_offer, PurePath(path).name)
        self._model_offer.setVisible(bool(path))

    def show_branch(self, messages: Sequence[ChatMessage]) -> None:
        """Show this conversation, from its end. A message that is streaming streams on."""
        self.find_bar.close_bar()
        self._finder.clear()
        self._flush()  # else what is drawn would differ from the message, and be drawn anew
        self._end_stream()
        before, line_before = self._messages, self._memory_line
        self._messages = {message.id: message for message in messages}
        start = memory_start(messages)
        self._memory_line = messages[start].id if start else None
        self._context_options = None
        self._stack.setCurrentWidget(self.column if messages else self.welcome)
        same = {message.id for message in messages if before.get(message.id) == message}
        if line_before != self._memory_line:
            same -= {line_before, self._memory_line}
        self.column.show_keys(list(self._messages), same)
        self._mark_last()
        self._jump.setVisible(False)
        if streaming := next((m.id for m in messages if m.state == "streaming"), None):
            self._streaming = streaming
            self.column.build_now(streaming)
            self.column.pin(streaming, True)
            self.column.to_end()

    def show_context_options(self, options: ContextOptions | None) -> None:
        """Show below an answer how a full context can go on; None shows nothing."""
        before, self._context_options = self._context_options, options
        for shown in {o.message_id for o in (before, options) if o is not None}:
            view = self.column.view(shown) if shown in self._messages else None
            if isinstance(view, AnswerView):
                view.show_context_options(
                    options if options and options.message_id == shown else None
                )
                self.column.grew(shown)  # at once: buttons that are not laid out yet would be seen
        self.column.order_focus()

    def _mark_last(self) -> None:
        """The last message has its buttons in sight, and can be continued if it is an answer."""
        last = next(reversed(self._messages), None)
        for key in self._messages:
            if view := self.column.view(key):
                view.set_last(key == last)

    def view(self, message_id: int) -> MessageView | None:
        return self.column.view(message_id)

    @Slot(int, str)
    def show_match(self, message_id: int, query: str) -> None:
        """Scroll to the first place of a message that has a word of `query`, and mark them all."""
        if message_id in self._messages:
            self._finder.show(message_id, query)

    def clear_match(self) -> None:
        """Remove the marks of a search in all chats."""
        if not self.find_bar.isVisible():
            self._finder.clear()

    @Slot(str)
    def _on_find_text(self, text: str) -> None:
        self.find_bar.show_count(self._finder.find(self.messages, text))

    def edit_last(self) -> None:
        for message in reversed(self._messages.values()):
            if not message.is_answer:
                self.column.show_key(message.id)
                view = self.column.build_now(message.id)
                if isinstance(view, UserView):
                    view.edit()
                return

    # ---- streaming

    def stream_status(self, message_id: int, text: str, fraction: float | None = None) -> None:
        """Show what the engine is doing, with a bar when `fraction` (0 to 1) is given."""
        if view := self._stream_view(message_id):
            view.show_status(text, fraction)
            self.column.grew(message_id)

    @Slot(int, object)
    def stream(self, message_id: int, event: Event) -> None:
        """Show an event of the answer being written; text is drawn with the next flush."""
        if message_id != self._streaming:
            return
        match event:
            case ThinkingDelta(text=text):
                self._new_thinking += text
                self._throttle.start()
            case AnswerDelta(text=text):
                self._new_answer += text
                self._throttle.start()
            case ThinkingFinished(seconds=seconds, end=end):
                self._finish_thinking(message_id, seconds, end)
            case PrefillProgress(done=done, total=total, cached=cached) if done < total:
                left_s = self._reading.seconds_left(message_id, done, total)
                line = reading_line(done, total, cached, left_s)
                self.stream_status(message_id, line, done / total)

    def _finish_thinking(self, message_id: int, seconds: float, end: ThinkingEnd) -> None:
        if view := self._stream_view(message_id):
            self._flush()
            view.finish_thinking(seconds, end)
            message = self._messages[message_id]
            self._messages[message_id] = replace(message, thinking_s=seconds)
            self.column.grew(message_id)

    def finish_stream(self, message: ChatMessage) -> None:
        """The answer is complete; what is drawn becomes exactly this message."""
        streamed = message.id == self._streaming
        if streamed:
            self._flush()
            self._end_stream()
        if message.id not in self._messages:
            return
        self._messages[message.id] = message
        view = self.column.view(message.id)
        if streamed and isinstance(view, AnswerView):
            view.finish(message)
            self.column.grew(message.id)
            self.column.order_focus()
        else:
            self.column.rebuild(message.id)

    def _stream_view(self, message_id: int) -> AnswerView | None:
        view = self.column.view(message_id) if message_id == self._streaming else None
        return view if isinstance(view, AnswerView) else None

    def _end_stream(self) -> None:
        self._throttle.stop()
        self._new_thinking = self._new_answer = ""
        if self._streaming in self._messages:
            self.column.pin(self._streaming, False)
        self._streaming = None

    @Slot()
    def _flush(self) -> None:
        """Draw what has arrived since the last time."""
        key, thinking, answer = self._streaming, self._new_thinking, self._new_answer
        if not (thinking or answer) or key is None:
            self._throttle.stop()
            return
        self._new_thinking = self._new_answer = ""
        message = self._messages[key]
        self._messages[key] = replace(
            message, thinking=message.thinking + thinking, content=message.content + answer
        )
        view = self.column.view(key)
        if isinstance(view, AnswerView):
            if thinking:
                view.feed_thinking(thinking)
            if answer:
                view.feed(answer)
            self.column.grew(key)

    # ---- building

    def _build(self, message_id: int, parent: QWidget) -> MessageView:
        message = self._messages[message_id]
        tools = MessageTools(self._style, self._slicer, self.requested.emit, self._open_thinking)
        view: MessageView
        if message.is_answer:
            view = AnswerView(message, tools, parent)
            options = self._context_options
            if options is not None and options.message_id == message_id:
                view.show_context_options(options)
        else:
            view = UserView(message, tools, parent)
            if message_id == self._memory_line:
                view.show_memory_line()
        view.set_last(message_id == next(reversed(self._messages), None))
        view.setProperty(MESSAGE, message_id)
        return view

    def _estimate(self, message_id: int, width: int) -> int:
        """About how high a message will be, in pixels."""
        message, em_px = self._messages[message_id], self._style.em_px
        content = message.content if message.is_answer else folded_text(message.content)
        per_line = max(10.0, width / (em_px * 0.43))
        lines = content.count("\n") * 0.8 + len(content) / per_line + 1
        extra = 2.2 + (1.8 if message.thinking else 0.0) + (6.0 if message.error_text else 0.0)
        return round((lines * 1.4 + extra) * em_px)

    # ---- events of Qt

    def changeEvent(self, event: QEvent) -> None:
        """Other colours, another font or style sheet: build what is visible anew."""
        super().changeEvent(event)
        kinds = QEvent.Type
        if event.type() == kinds.StyleChange and self._messages:
            self.column.rebuild()  # what was built during the change has the sizes of no style
        if event.type() in {kinds.PaletteChange, kinds.FontChange, kinds.ApplicationFontChange}:
            style = TextStyle.of(self.font(), self._formulas)
            if style != self._style:
                self._style = style
                self.update()
                self.column.rebuild()

    def paintEvent(self, _event: QPaintEvent) -> None:
        QPainter(self).fillRect(self.rect(), self._style.colours.background)
