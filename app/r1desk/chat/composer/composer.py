"""The box a message is written in."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from PySide6.QtCore import QRectF, Qt, QTimer, Signal, Slot
from PySide6.QtGui import (
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QPen,
    QResizeEvent,
    QTextCursor,
)
from PySide6.QtWidgets import QHBoxLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from deepseek_r1.core.i18n import tr, trn
from r1desk.chat.composer.flat_buttons import PromptSizeButton, TemplateButton, ThinkingButton
from r1desk.chat.text import display_text as fit
from r1desk.chat.text.attachment_chip import AttachmentChip, AttachmentRow, Chip, ChipButton
from r1desk.chat.text.buttons import RoundButton, icon_button
from r1desk.chat.text.editor import LARGE_PASTE, ComposerField
from r1desk.chat.text.markdown_blocks import first_address
from r1desk.chat.text.text_style import chat_colours, column_span
from r1desk.chat.values import intents
from r1desk.chat.values.prompt import PromptSize
from r1desk.platform.qt_application import application
from r1desk.store.prompt_store import SavedPrompt
from r1desk.theme import set_role
from r1desk.theme.theme import find_theme
from r1desk.widgets.layouts import filled, put_inside, with_properties
from r1desk.widgets.palette import PaletteEntry
from r1desk.widgets.text_label import call_with, push_button

_MAX_CHIP_ROWS = 2.5  # more rows of files scroll; the half one shows that
_DRAFT_MS = 500
_LEAST_DOCUMENT = 2_000  # characters that are worth searching
_SHEET = """QPlainTextEdit, QPlainTextEdit:focus, QPlainTextEdit:disabled {
  border: none; padding: 0; background: transparent; }"""


def _beginning(prompt: SavedPrompt) -> str:
    """The first words of a prompt, with its fields as [name]."""
    return " ".join(prompt.content[:120].replace("{{", "[").replace("}}", "]").split())


class Composer(QWidget):
    """Grows with its text to eight lines; the row below it has the buttons, one sends or stops.

    Signals:
        requested: an `Intent`. The box is empty when it is `Send`; `SaveDraft` comes half a second
            after the last change.
        text_changed: all that would be sent, at once.
    """

    requested = Signal(object)
    text_changed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._busy = False
        self._reason = self.hint = ""
        self._unfilled = ""  # why Enter did not send
        self.prompts: Sequence[SavedPrompt] = ()
        self._large = ""
        self._reported_draft = ""
        self.setStyleSheet(_SHEET)
        self.editor = ComposerField(self.requested.emit, self)  # takes the keys
        self.editor.setAccessibleName(tr("Message"))
        self.editor.setPlaceholderText(tr("Write a message"))
        self.editor.sent.connect(self.submit)
        self.editor.escaped.connect(self._on_stop)
        self.editor.large_pasted.connect(self._on_large_pasted)
        self.editor.textChanged.connect(self._on_changed)
        self._remove_pasted = ChipButton("close", tr("Remove the pasted text"), self._on_chip)
        self._chip = AttachmentChip(Chip("", buttons=(self._remove_pasted,)), self)
        self.attach_text = push_button(tr("Attach as a document"), self._on_attach_text)
        self.attach_text.setToolTip(tr("It is searched for each question."))
        set_role(self.attach_text, "primary")
        self._is_too_long = False
        self.read_page = push_button(tr("Read this page"), self._on_read_page)
        self._address = self._read_address = ""  # of a page in the text; of one that was read
        self.attachments = AttachmentRow(self)
        # Many files scroll, so that they do not push the conversation away.
        self._attachment_area = area = with_properties(
            QScrollArea(self),
            frameShape=QScrollArea.Shape.NoFrame,
            horizontalScrollBarPolicy=Qt.ScrollBarPolicy.ScrollBarAlwaysOff,
            focusPolicy=Qt.FocusPolicy.NoFocus,
            widget=self.attachments,
        )
        for each in (self.attachments, area.viewport()):
            each.setAutoFillBackground(False)
        self._has_attachments = self._reading = False
        self._sends_when_read = False  # Enter was pressed while a file was being read
        self._attach = icon_button("attach", tr("Attach files (Ctrl+U)"), self)
        call_with(self._attach.clicked, self.requested.emit, intents.ChooseFiles())
        self.thinking, self.template = ThinkingButton(self), TemplateButton(self)
        self.size_button = PromptSizeButton(self)
        self._hint_label = QLabel(self, wordWrap=True, textFormat=Qt.TextFormat.PlainText)
        self._hint_label.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        self._button = RoundButton("send", tr("Send"), self)
        self._button.clicked.connect(self._on_button)
        self._draft_timer = QTimer(self, singleShot=True, interval=_DRAFT_MS)
        self._draft_timer.timeout.connect(self._report_draft)
        find_theme(application()).changed.connect(self._fit_height)  # chips have other sizes
        self._arrange()
        self.setFocusProxy(self.editor)
        self._refresh()

    def _arrange(self) -> None:
        em = self.fontMetrics().height()
        column = QVBoxLayout(self)
        self._set_margins()
        column.setSpacing(4)
        column.addWidget(self._hint_label)
        pasted = filled(
            put_inside(column, QHBoxLayout()), self._chip, self.attach_text, self.read_page
        )
        pasted.addStretch(1)
        column.addWidget(self._attachment_area)
        column.addWidget(self.editor)
        row = filled(put_inside(column, QHBoxLayout()), self._attach, self.thinking, self.template)
        row.setSpacing(round(em * 0.2))
        row.addStretch(1)
        row.addWidget(self.size_button)
        row.addWidget(self._button)
        for before, after in pairwise((self.editor, self.attach_text, self.read_page)):
            self.setTabOrder(before, after)

    def _side(self) -> int:
        """The space left and right of the box, which is as wide as the messages above it."""
        return column_span(self.width(), self.fontMetrics().height())[0]

    def _set_margins(self) -> None:
        em = self.fontMetrics().height()
        pad, side = round(em * 0.5), self._side()
        if layout := self.layout():
            layout.setContentsMargins(side + round(em * 0.9), pad, side + pad, round(em * 0.25))

    # ---- text

    def text(self) -> str:
        typed = self.editor.toPlainText()
        return f"{typed}\n\n{self._large}" if typed and self._large else typed or self._large

    def set_text(self, text: str) -> None:
        """Put a draft into the box; this is not a change of the user's."""
        self._large = text if len(text) > LARGE_PASTE else ""
        self.editor.setPlainText("" if self._large else text)
        self.editor.moveCursor(self.editor.textCursor().MoveOperation.End)
        self._reported_draft = self.text()
        self._draft_timer.stop()
        self._refresh()
        self.text_changed.emit(self._reported_draft)

    def restore_unsent(self, text: str) -> None:
        """Put text that could not be sent before what was typed since; both are the draft now."""
        since = self.text()
        self.set_text(f"{text}\n\n{since}" if since not in {"", text} else text)
        self.requested.emit(intents.SaveDraft(self.text()))

    def insert_quote(self, text: str) -> None:
        """Quote a text where the cursor is; what is typed next stands below it."""
        lines = text.strip("\n").split("\n")
        quoted = "\n".join(f"> {line}".rstrip() for line in lines)
        before = "\n\n" if self.editor.toPlainText().strip() else ""
        if len(quoted) > LARGE_PASTE:
            self._on_large_pasted(quoted)
        else:
            self.editor.moveCursor(self.editor.textCursor().MoveOperation.End)
            self.editor.insertPlainText(f"{before}{quoted}\n\n")
            self.editor.ensureCursorVisible()
        self.editor.setFocus()

    def prompt_entries(self) -> list[PaletteEntry]:
        """The prompts of the library, each to be put into the box."""
        insert, group = self.editor.insert_prompt, tr("Prompts")
        return [
            PaletteEntry(group, each.name, partial(insert, each.content), note=_beginning(each))
            for each in self.prompts
        ]

    def clear(self) -> None:
        self.set_text("")

    def flush_draft(self) -> None:
        """Report a changed draft now: the box is about to show something else."""
        if self._draft_timer.isActive():
            self._draft_timer.stop()
            self._report_draft()

    # ---- state

    def set_state(self, *, busy: bool = False, reason: str = "", hint: str = "") -> None:
        """Turn Send into Stop while an answer is written; say what Enter does.

        `reason` is why nothing can be sent now; writing stays possible. An empty `hint` stands for
        sending at once.
        """
        self._busy, self._reason, self.hint = busy, reason, hint
        self._refresh()

    def show_size(self, size: PromptSize | None) -> None:
        """Show the tokens of the next message; one that is too long alone may become a document."""
        self.size_button.show_size(size)
        self._is_too_long = size is not None and size.text + size.reserve > size.context
        self._refresh()

    def remove_attached(self, text: str) -> None:
        """This text is a document now."""
        if text == self._large:
            self._on_chip()
        elif text == self.text():
            self.editor.clear()

    def remove_read(self, address: str) -> None:
        """A page has been read: a message that was its address alone is empty again."""
        if self.text().strip() == address:
            self.editor.clear()
        self._read_address = address
        self._refresh()

    def set_chips(self, chips: Sequence[Chip], *, attached: bool, reading: bool) -> None:
        """Show the files of the chat and of the message; nothing is sent while one is being read.

        `attached`: some go with the message. What Enter was pressed for meanwhile is sent behind
        the last file.
        """
        self.attachments.show_chips(chips)
        self._unfilled = self._unfilled if reading == self._reading else ""
        self._has_attachments, self._reading = attached, reading
        if self._sends_when_read and not reading:  # once the files are shown, maybe again
            QTimer.singleShot(0, self, self._submit_read)
        self._read_address = self._read_address if attached or reading else ""
        self._refresh()

    @Slot()
    def _submit_read(self) -> None:
        if self._sends_when_read and not self._reading:
            self.submit()

    @Slot()
    def keep(self) -> None:
        """Do not send what Enter was pressed for: a file has gone, or the chat was left."""
        self._sends_when_read = False
        self._refresh()

    def _refresh(self) -> None:
        name, label = ("stop", tr("Stop")) if self._busy else ("send", tr("Send"))
        can_send = self._can_send()
        is_early = self._reading and bool(self.text().strip()) and not self._reason
        self._button.setEnabled(self._busy or can_send or (is_early and not self._sends_when_read))
        self._button.set_action(name, label)
        waits = tr("It is sent once the file is read.") if self._sends_when_read else ""
        hint = tr("Stop (Esc)") if self._busy else self._reason or waits or tr("Send (Enter)")
        self._button.setToolTip(hint)
        self.editor.setPlaceholderText(self.hint or tr("Write a message"))
        self.editor.viewport().update()  # Qt repaints only where a placeholder appears
        asks = self._unfilled or self._reason or waits
        self._hint_label.setText(asks or self.hint)
        self._hint_label.setVisible(bool(asks or (self.hint and self.text())))
        self._chip.setVisible(bool(self._large))
        if self._large:
            size = trn("{n:,} character", "{n:,} characters", len(self._large))
            self._chip.show_chip(Chip(tr("Pasted text"), (size,), buttons=(self._remove_pasted,)))
        self.attach_text.setVisible(self._is_too_long and len(self.text()) >= _LEAST_DOCUMENT)
        self._address = first_address(self.editor.toPlainText())
        shown = bool(self._address) and self._address != self._read_address and not self._reading
        self.read_page.setVisible(shown)
        self.read_page.setToolTip(fit.plain_tooltip(self._address))
        self._fit_height()

    def _can_send(self) -> bool:
        has_something = bool(self.text().strip()) or self._has_attachments
        return has_something and not self._reason and not self._reading

    @Slot()
    def _fit_height(self) -> None:
        if self.attachments.chips:
            layout = self.layout()
            assert layout is not None  # noqa: S101 - for the type checker
            width = self.rect().marginsRemoved(layout.contentsMargins()).width()
            bar = self._attachment_area.verticalScrollBar().sizeHint().width()
            height = self.attachments.fit_width(max(width - bar, 1))
            most = round(_MAX_CHIP_ROWS * self.attachments.row_height())
            self._attachment_area.setFixedHeight(min(height, most))
        self._attachment_area.setVisible(bool(self.attachments.chips))
        self.editor.fit_height()

    # ---- what the user does

    @Slot()
    def _on_changed(self) -> None:
        self._unfilled, self._sends_when_read = "", False
        self._refresh()
        self.text_changed.emit(self.text())
        self._draft_timer.start()

    @Slot()
    def _report_draft(self) -> None:
        text = self.text()
        if text != self._reported_draft:
            self._reported_draft = text
            self.requested.emit(intents.SaveDraft(text))

    @Slot()
    def _on_button(self) -> None:
        if self._busy:
            self._on_stop()
        else:
            self.submit()

    @Slot()
    def submit(self) -> None:
        """Send what is in the box, as Enter does; files alone need a question."""
        text = self.text()
        self._sends_when_read = self._reading and bool(text.strip()) and not self._reason
        has_files = self._reading or self._has_attachments
        if has_files and not text.strip() and not self._reason:
            self._unfilled = tr("Write a question first: a file alone is not sent.")
            self._refresh()
        elif self._reading:
            self._refresh()
        elif self._can_send() and not self._asks_for_fields():
            self.clear()
            self.requested.emit(intents.Send(text))

    def _asks_for_fields(self) -> bool:
        """Select the first field of a prompt that is not filled in, once; the next Enter sends."""
        start = QTextCursor(self.editor.document())
        if self._unfilled or not self.editor.select_field(start):
            return False
        field = self.editor.textCursor().selectedText()
        self._unfilled = tr(
            "{field} is still empty. Press Enter again to send it anyway.", field=field
        )
        self._refresh()
        return True

    @Slot()
    def _on_stop(self) -> None:
        if self._sends_when_read:
            self.keep()
        else:
            self.requested.emit(intents.StopAnswer())  # also ends a preparation of the next turn

    @Slot(str)
    def _on_large_pasted(self, text: str) -> None:
        self._large = f"{self._large}\n\n{text}" if self._large else text
        self._on_changed()

    @Slot()
    def _on_chip(self) -> None:
        self._large = ""
        self._on_changed()
        self.editor.setFocus()

    @Slot()
    def _on_attach_text(self) -> None:
        self.requested.emit(intents.AttachText(self._large or self.text()))
        self.editor.setFocus()

    @Slot()
    def _on_read_page(self) -> None:
        self.requested.emit(intents.ReadPage(self._address))
        self.editor.setFocus()

    # ---- events of Qt

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._set_margins()
        self._fit_height()

    def mousePressEvent(self, _event: QMouseEvent) -> None:
        """All of the box is there to write in."""
        self.editor.setFocus()

    def paintEvent(self, _event: QPaintEvent) -> None:
        colours = chat_colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        focused = self.editor.hasFocus()
        width = 2.0 if focused else 1.0
        painter.setPen(QPen(colours.accent if focused else colours.dim, width))
        painter.setBrush(colours.background)
        inset = width / 2
        painter.drawRoundedRect(self.box().adjusted(inset, inset, -inset, -inset), 14, 14)

    def box(self) -> QRectF:
        return QRectF(self.rect()).adjusted(self._side(), 0, -self._side(), 0)
