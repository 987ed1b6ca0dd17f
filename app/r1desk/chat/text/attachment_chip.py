"""A file that goes with a message, as a chip, and rows of chips."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QWidget

from deepseek_r1.core.i18n import tr, trn
from r1desk.chat.text import display_text as fit
from r1desk.chat.text.buttons import icon_button, text_button
from r1desk.chat.text.colours import chat_colours
from r1desk.chat.values.intents import OpenAttachment, RemoveAttachment, Request
from r1desk.chat.values.prompt import tokens_of
from r1desk.store import Attachment

_NAME_CHARACTERS = 40
_RADIUS = 9


def chip_label(attachment: Attachment, fits: bool | None) -> str:
    """A file's name, its size in tokens, and where it does not fit."""
    count = tokens_of(attachment)
    size = (
        trn("{n:,} token", "{n:,} tokens", count)
        if attachment.tokens
        else trn("about {n:,} token", "about {n:,} tokens", count)
    )
    parts = [short_name(attachment.name), size]
    if fits is False:
        parts.append(tr("does not fit"))
    return " · ".join(parts)


def short_name(name: str) -> str:
    """A file's name for a chip: its beginning and its end, the suffix included."""
    safe = fit.code(name).replace("\n", " ")
    if len(safe) <= _NAME_CHARACTERS:
        return safe
    return f"{safe[: _NAME_CHARACTERS - 14]}…{safe[-13:]}"


class AttachmentChip(QWidget):
    """One file: a click shows its text.

    One with a `place` among the files of the message being written has a button that removes it.
    """

    def __init__(
        self,
        attachment: Attachment,
        request: Request,
        parent: QWidget,
        *,
        fits: bool | None = None,
        place: int | None = None,
    ) -> None:
        super().__init__(parent)
        self._warns = fits is False
        label = chip_label(attachment, fits)
        row = QHBoxLayout(self)
        row.setContentsMargins(2, 1, 2, 1)
        row.setSpacing(0)
        self.open_button = text_button("warning" if self._warns else "file", label, self)
        self.open_button.setToolTip(
            fit.plain_tooltip(tr("Show the text of {name}", name=attachment.name))
        )
        self.open_button.setAccessibleName(tr("Attached file: {label}", label=label))
        self.open_button.clicked.connect(lambda: request(OpenAttachment(attachment)))
        row.addWidget(self.open_button)
        if place is not None:
            remove = icon_button(
                "close", tr("Remove {name}", name=short_name(attachment.name)), self
            )
            remove.clicked.connect(lambda: request(RemoveAttachment(place)))
            row.addWidget(remove)

    def paintEvent(self, _event: QPaintEvent) -> None:
        colours = chat_colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(colours.error_edge if self._warns else colours.edge, 1))
        painter.setBrush(colours.background)
        painter.drawRoundedRect(self.rect().adjusted(0, 0, -1, -1), _RADIUS, _RADIUS)


class AttachmentRow(QWidget):
    """Chips beside each other, in as many rows as they need."""

    def __init__(
        self,
        request: Request,
        parent: QWidget,
        *,
        removable: bool = False,
        alignment: Qt.AlignmentFlag = Qt.AlignmentFlag.AlignLeft,
    ) -> None:
        super().__init__(parent)
        self._request = request
        self._removable = removable
        self._alignment = alignment
        self.chips: list[AttachmentChip] = []
        self.setAccessibleName(tr("Attached files"))

    def show_attachments(
        self, attachments: Sequence[Attachment], fitting: Sequence[bool | None] = ()
    ) -> None:
        """Show these files, each with whether it fits where that is known."""
        for chip in self.chips:
            chip.hide()
            chip.deleteLater()
        self.chips = []
        for index, attachment in enumerate(attachments):
            fits = fitting[index] if index < len(fitting) else None
            place = index if self._removable else None
            chip = AttachmentChip(attachment, self._request, self, fits=fits, place=place)
            chip.show()
            self.chips.append(chip)

    def fit_height(self, rows: float) -> int:
        """The height of so many rows of chips."""
        gap = round(self.fontMetrics().height() * 0.35)
        return round(rows * (self.chips[0].sizeHint().height() + gap)) if self.chips else 0

    def fit_width(self, width: int) -> int:
        gap = round(self.fontMetrics().height() * 0.35)
        lines: list[list[tuple[AttachmentChip, QSize]]] = []
        taken = 0
        for chip in self.chips:
            size = chip.sizeHint()
            size.setWidth(min(size.width(), width))
            if not lines or taken + gap + size.width() > width:
                lines.append([])
                taken = -gap
            lines[-1].append((chip, size))
            taken += gap + size.width()
        y = 0
        for line in lines:
            whole = sum(size.width() for _, size in line) + gap * (len(line) - 1)
            x = width - whole if self._alignment == Qt.AlignmentFlag.AlignRight else 0
            for chip, size in line:
                chip.setGeometry(x, y, size.width(), size.height())
                x += size.width() + gap
            y += max(size.height() for _, size in line) + gap
        height = max(0, y - gap)
        self.resize(width, height)
        return height
