"""A file that goes with a message, as a chip, and rows of chips."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QGuiApplication, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QWidget

from deepseek_r1.core.i18n import tr, trn
from r1desk.chat.attachments import tokens_of
from r1desk.chat.widgets import display_text as fit
from r1desk.chat.widgets.buttons import icon_button, text_button
from r1desk.chat.widgets.colours import ChatColours
from r1desk.store import Attachment

_NAME_CHARACTERS = 40
_RADIUS = 9


def chip_label(attachment: Attachment, fits: bool | None) -> str:
    """A file's name, its size in tokens, and whether it fits; None where that is not known."""
    count = tokens_of(attachment)
    size = (
        trn("{n:,} token", "{n:,} tokens", count)
        if attachment.tokens
        else trn("about {n:,} token", "about {n:,} tokens", count)
    )
    parts = [short_name(attachment.name), size]
    if fits is not None:
        parts.append(tr("fits the context") if fits else tr("does not fit"))
    return " · ".join(parts)


def short_name(name: str) -> str:
    """A file's name for a chip: its beginning and its end, the suffix included."""
    safe = fit.code(name).replace("\n", " ")
    if len(safe) <= _NAME_CHARACTERS:
        return safe
    return f"{safe[: _NAME_CHARACTERS - 14]}…{safe[-13:]}"


class AttachmentChip(QWidget):
    """One file: a click shows its text; one that is `removable` has a button for that.

    Signals:
        opened: the text is to be shown.
        removed: the file is to be taken off the message.
    """

    opened = Signal()
    removed = Signal()

    def __init__(
        self,
        attachment: Attachment,
        parent: QWidget,
        *,
        fits: bool | None = None,
        removable: bool = False,
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
        self.open_button.clicked.connect(self.opened)
        row.addWidget(self.open_button)
        if removable:
            remove = icon_button(
                "close", tr("Remove {name}", name=short_name(attachment.name)), self
            )
            remove.clicked.connect(self.removed)
            row.addWidget(remove)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw the frame, in the colour of a warning where the file does not fit."""
        colours = ChatColours.from_palette(QGuiApplication.palette())
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(colours.error_edge if self._warns else colours.edge, 1))
        painter.setBrush(colours.background)
        painter.drawRoundedRect(self.rect().adjusted(0, 0, -1, -1), _RADIUS, _RADIUS)


class AttachmentRow(QWidget):
    """Chips beside each other, in as many rows as they need.

    Signals:
        opened: an `Attachment` whose text is to be shown.
        removed: the number of the file, from 0.
    """

    opened = Signal(object)
    removed = Signal(int)

    def __init__(
        self,
        parent: QWidget,
        *,
        removable: bool = False,
        alignment: Qt.AlignmentFlag = Qt.AlignmentFlag.AlignLeft,
    ) -> None:
        super().__init__(parent)
        self._removable = removable
        self._alignment = alignment
        self._attachments: tuple[Attachment, ...] = ()
        self._chips: list[AttachmentChip] = []
        self.setAccessibleName(tr("Attached files"))

    def show_attachments(
        self, attachments: Sequence[Attachment], fitting: Sequence[bool | None] = ()
    ) -> None:
        """Show these files, each with whether it fits where that is known."""
        for chip in self._chips:
            chip.hide()
            chip.deleteLater()
        self._attachments = tuple(attachments)
        self._chips = []
        for index, attachment in enumerate(attachments):
            fits = fitting[index] if index < len(fitting) else None
            chip = AttachmentChip(attachment, self, fits=fits, removable=self._removable)
            chip.opened.connect(self._on_opened)
            chip.removed.connect(self._on_removed)
            chip.show()
            self._chips.append(chip)

    @property
    def chips(self) -> list[AttachmentChip]:
        """The chips, in the order of the files."""
        return list(self._chips)

    @Slot()
    def _on_opened(self) -> None:
        self.opened.emit(self._attachments[self._sending()])

    @Slot()
    def _on_removed(self) -> None:
        self.removed.emit(self._sending())

    def _sending(self) -> int:
        return next(i for i, chip in enumerate(self._chips) if chip is self.sender())

    def fit_height(self, rows: float) -> int:
        """The height of so many rows of chips."""
        gap = round(self.fontMetrics().height() * 0.35)
        return round(rows * (self._chips[0].sizeHint().height() + gap)) if self._chips else 0

    def fit_width(self, width: int) -> int:
        """Lay out for `width` pixels; returns the height that takes."""
        gap = round(self.fontMetrics().height() * 0.35)
        lines: list[list[tuple[AttachmentChip, QSize]]] = []
        taken = 0
        for chip in self._chips:
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
