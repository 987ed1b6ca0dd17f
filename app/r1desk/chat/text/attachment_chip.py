"""A file that goes with a message or belongs to a chat, as a chip, and rows of chips."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby

from PySide6.QtCore import QRectF, QSize, Slot
from PySide6.QtGui import QPainter, QPainterPath, QPaintEvent, QPen, QPixmap
from PySide6.QtWidgets import QHBoxLayout, QMenu, QToolButton, QWidget

from deepseek_r1.core.i18n import N_, tr, trn
from r1desk.chat.text import display_text as fit
from r1desk.chat.text.buttons import icon_button, text_button
from r1desk.chat.text.text_style import chat_colours
from r1desk.chat.values.prompt import tokens_of
from r1desk.store import Attachment
from r1desk.theme.icons import icon
from r1desk.widgets.layouts import discard, filled
from r1desk.widgets.text_label import Action, call_with, open_menu_by

_NAME_CHARACTERS = 40
_RADIUS = 9
_PICTURE = QSize(48, 32)
_LEAST_PX = 60  # of a label


@dataclass(frozen=True, slots=True)
class ChipChoice:
    """An entry of a button's menu; of several that exclude each other one is `chosen`."""

    label: str
    act: Action | None  # None: it only informs
    chosen: bool | None = None


@dataclass(frozen=True, slots=True)
class ChipButton:
    """A button of a chip: its icon, its name, what it does, or the choices of its menu."""

    icon: str
    label: str
    act: Action | None = field(default=None, compare=False)
    choices: tuple[ChipChoice, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Chip:
    """One chip. `notes` stand behind the name; `fraction` of the work on it is done."""

    name: str
    notes: tuple[str, ...] = ()
    opens: Action | None = None  # by a click
    buttons: tuple[ChipButton, ...] = ()
    fraction: float | None = None
    icon: str = "file"
    tip: str = ""  # in place of what a click on a file does
    accessible_name: str = N_("Attached file: {label}")
    picture: QPixmap | None = None  # in place of the icon

    @property
    def label(self) -> str:
        return " · ".join([short_name(self.name), *self.notes])


def size_notes(attachment: Attachment) -> tuple[str, ...]:
    """The pages and about the tokens of a file, which another model may count otherwise."""
    tokens = about_tokens(tokens_of(attachment))
    pages = (trn("{n:,} page", "{n:,} pages", attachment.pages),) if attachment.pages else ()
    return (*pages, tokens)


def about_tokens(count: int) -> str:
    """A number of tokens, with the digits that are known of it."""
    digits = max(0, len(str(count)) - 3)
    return trn("about {n:,} token", "about {n:,} tokens", round(count, -digits))


def short_name(name: str) -> str:
    """A file's name for a chip: its beginning and its end, the suffix included."""
    safe = fit.code(name).replace("\n", " ")
    if len(safe) <= _NAME_CHARACTERS:
        return safe
    return f"{safe[: _NAME_CHARACTERS - 14]}…{safe[-13:]}"


class AttachmentChip(QWidget):
    """One file: a click shows its text."""

    def __init__(self, chip: Chip, parent: QWidget) -> None:
        super().__init__(parent)
        self.chip = chip
        self.open_button = text_button(chip.icon, "", self)
        self.open_button.clicked.connect(self._on_clicked)
        row = filled(QHBoxLayout(self), self.open_button, spacing=0, margins=(2, 1, 2, 1))
        self.buttons: list[QToolButton] = []
        for at, each in enumerate(chip.buttons):
            button = icon_button(each.icon, each.label, self)
            if each.choices:
                menu = QMenu(button)
                menu.aboutToShow.connect(partial(self._fill_menu, menu, at))
                open_menu_by(button, menu)
            else:
                call_with(button.clicked, self._act, at)
            row.addWidget(button)
            self.buttons.append(button)
        self.show_chip(chip)

    def _act(self, at: int) -> None:
        if (act := self.chip.buttons[at].act) is not None:
            act()

    @Slot()
    def _on_clicked(self) -> None:
        """Open what the chip stands for, or else the menu of its only button."""
        if self.chip.opens is not None:
            self.chip.opens()
        elif len(self.buttons) == 1 and self.chip.buttons[0].choices:
            corner = self.rect().bottomLeft()
            self.buttons[0].menu().popup(self.mapToGlobal(corner))

    def _fill_menu(self, menu: QMenu, at: int) -> None:
        menu.clear()
        for choice in self.chip.buttons[at].choices:
            before = menu.actions()[-1:]
            if choice.chosen is None and before and before[0].isCheckable():
                menu.addSeparator()
            entry = menu.addAction(choice.label, choice.act or menu.close)
            entry.setEnabled(choice.act is not None)
            entry.setCheckable(choice.chosen is not None)
            entry.setChecked(bool(choice.chosen))

    def show_chip(self, chip: Chip) -> None:
        """Show another state of the same file, with the same buttons."""
        self.chip = chip
        self.open_button.setText(chip.label)
        widest = max(self.open_button.minimumWidth(), self.open_button.sizeHint().width())
        self.open_button.setMinimumWidth(widest)  # the buttons stay where they are
        if chip.picture is not None:
            self.open_button.setIconSize(_PICTURE)
        self.open_button.setIcon(chip.picture or icon(chip.icon, "text_dim"))
        self.open_button.setAccessibleName(tr(chip.accessible_name, label=chip.label))
        tip = tr("Show the text of {name}", name=chip.name) if chip.opens else chip.name
        tip = "\n".join([chip.label, chip.tip or tip])
        self.open_button.setToolTip(fit.plain_tooltip(tip))
        self.update()

    def fit(self, width: int) -> None:
        """Leave the buttons their place; of the notes those that fit, the last ones."""
        taken = sum(button.sizeHint().width() for button in self.buttons)
        left = max(_LEAST_PX, width - taken - 6)
        font, name = self.open_button.fontMetrics(), short_name(self.chip.name)
        self.open_button.setText(self.chip.label)
        around = self.open_button.sizeHint().width() - font.horizontalAdvance(self.chip.label)
        for first in range(len(self.chip.notes) + 1):
            text = " · ".join([name, *self.chip.notes[first:]])
            if font.horizontalAdvance(text) + around <= left:
                break
        self.open_button.setText(text)
        self.open_button.setMinimumWidth(min(left, self.open_button.minimumWidth()))
        self.open_button.setMaximumWidth(left)

    def paintEvent(self, _event: QPaintEvent) -> None:
        colours = chat_colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(colours.edge, 1))
        painter.setBrush(colours.background)
        shape = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.drawRoundedRect(shape, _RADIUS, _RADIUS)
        if self.chip.fraction is not None:
            path = QPainterPath()
            path.addRoundedRect(shape, _RADIUS, _RADIUS)
            painter.setClipPath(path)
            bar = QRectF(0, self.height() - 3, self.width() * self.chip.fraction, 3)
            painter.fillRect(bar, colours.accent)


class AttachmentRow(QWidget):
    """Chips beside each other, in as many rows as they need."""

    def __init__(self, parent: QWidget, *, to_right: bool = False) -> None:
        super().__init__(parent)
        self._to_right = to_right
        self.chips: list[AttachmentChip] = []
        self.setAccessibleName(tr("Attached files"))

    def show_chips(self, chips: Iterable[Chip]) -> None:
        """Show these; a chip whose buttons stay the same stays in its place."""
        before, self.chips = self.chips, []
        kept = {(each.chip.name, each.chip.buttons): each for each in reversed(before)}
        for chip in chips:
            widget = kept.pop((chip.name, chip.buttons), None)
            if widget is None:
                widget = AttachmentChip(chip, self)
                widget.show()
            else:
                widget.show_chip(chip)
            self.chips.append(widget)
        discard(*(each for each in before if each not in self.chips))

    def row_height(self) -> int:
        """The height of a row of chips, with the gap below it."""
        return max((chip.sizeHint().height() for chip in self.chips), default=0) + self._gap()

    def _gap(self) -> int:
        return round(self.fontMetrics().height() * 0.35)

    def fit_width(self, width: int) -> int:
        """Lay out for `width` pixels; returns the height that takes."""
        x, y, gap, step = 0, 0, self._gap(), self.row_height()
        for chip in self.chips:
            chip.fit(width)
            size = chip.sizeHint().boundedTo(QSize(width, step))
            if x and x + size.width() > width:
                x, y = 0, y + step
            chip.setGeometry(x, y, size.width(), size.height())
            x += size.width() + gap
        for _, chips in groupby(self.chips if self._to_right else (), QWidget.y):
            line = list(chips)
            left = width - 1 - line[-1].geometry().right()
            for chip in line:
                chip.move(chip.x() + left, chip.y())
        height = y + step - gap
        self.resize(width, height)
        return height
