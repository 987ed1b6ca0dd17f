"""The empty conversation: a greeting, presets, and questions or the card of the first start."""

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QPalette, QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.core.i18n import N_, tr
from r1desk.chat.text.buttons import text_button
from r1desk.chat.text.text_style import column_span
from r1desk.chat.values.intents import Request, Send
from r1desk.theme import set_role
from r1desk.theme.fonts import scaled
from r1desk.widgets.layouts import discard, filled
from r1desk.widgets.text_label import call_with

EXAMPLES = {  # questions and their icons
    N_("Explain why the sky is blue, for a ten-year-old"): "sun",
    N_("Write a Python function that finds prime numbers"): "code",
    N_("Give me three ideas for a rainy Sunday"): "bulb",
    N_("How many days from 3 March to 17 May?"): "clock",
}
_MOST_CARDS = 8  # the others are in the menu
_COLUMNS = 2


class PresetCards(QWidget):
    """A card for each of the first presets; that of the conversation is marked."""

    chosen = Signal(int)  # the place of a preset

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.cards: list[QToolButton] = []
        self._grid = QGridLayout(self)
        em = self.fontMetrics().height()
        self._grid.setContentsMargins(0, em // 2, 0, 0)
        self._grid.setSpacing(round(em * 0.5))

    def show_presets(self, presets: Sequence[tuple[str, str]], current: int | None) -> None:
        """Show presets by their names and icons; None: the conversation has settings of its own."""
        shown = presets[:_MOST_CARDS]
        if [name for name, _ in shown] != [card.text() for card in self.cards]:
            discard(*self.cards)
            self.cards = [self._card(at, *preset) for at, preset in enumerate(shown)]
        for at, card in enumerate(self.cards):
            card.setChecked(at == current)

    def _card(self, at: int, name: str, sign: str) -> QToolButton:
        card = text_button(sign, name, self)
        set_role(card, "choice")
        card.setCheckable(True)
        card.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        card.setMinimumSize(self.fontMetrics().height() * 12, self.fontMetrics().height() * 2)
        call_with(card.clicked, self.chosen.emit, at)
        self._grid.addWidget(card, at // _COLUMNS, at % _COLUMNS)
        return card


class WelcomeCard(QFrame):
    """A card that an empty conversation shows in place of its questions."""

    resized = Signal()  # its height for a width may have changed


class Welcome(QWidget):
    """The greeting with the presets and questions that can be sent, or with the card."""

    def __init__(self, request: Request, parent: QWidget) -> None:
        super().__init__(parent)
        self._title = QLabel(tr("What would you like to know?"), self)
        self._title.setFont(scaled(self.font(), 1.7))
        self._line = QLabel("", self)
        self._note = QLabel("", self)
        self._note.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        self._note.hide()
        self._labels = (self._title, self._line, self._note)
        for label in self._labels:
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            label.setWordWrap(True)
        self.card: WelcomeCard | None = None
        self._card_shown = False
        self._wants_questions = True
        em = self.fontMetrics().height()
        self.preset_button = text_button("settings", "", self)
        self.preset_cards = PresetCards(self)
        self.request = request
        self._questions = self._made_questions(request)
        self._inner = inner = QWidget(self)
        self._column = column = filled(QVBoxLayout(inner), spacing=round(em * 0.8))
        column.addStretch(3)
        for label in self._labels:
            column.addWidget(label)
        for part in (self.preset_button, self._questions, self.preset_cards):
            column.addWidget(part, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch(4)
        area = QScrollArea(self)  # a card too tall for the window is read by scrolling
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidgetResizable(True)
        area.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.viewport().setAutoFillBackground(False)
        area.setWidget(inner)
        inner.setAutoFillBackground(False)
        filled(QHBoxLayout(self), area)
        self.show_presets((), None)

    def _made_questions(self, request: Request) -> QWidget:
        questions = QWidget(self)
        em = self.fontMetrics().height()
        # With a space above that is gone with the questions.
        below = filled(QVBoxLayout(questions), spacing=2, margins=(0, em, 0, 0))
        for example, name in EXAMPLES.items():
            text = tr(example)
            button = text_button(name, text, questions)
            button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            button.setMinimumHeight(round(em * 2))
            call_with(button.clicked, request, Send(text))
            below.addWidget(button)
        return questions

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._inner.setMaximumWidth(self._inner_width())
        self._show_what_fits()

    def _inner_width(self) -> int:
        return column_span(self.width(), self.fontMetrics().height())[1]

    @Slot()
    def _show_what_fits(self) -> None:
        """The card in place of the questions; in a low window it is more than the greeting."""
        width, gap = self._inner_width(), 12
        texts = self._labels[:2] if self._card_shown else self._labels
        above = sum(label.heightForWidth(width) + gap for label in texts if label.text())
        offers = self._questions if self._wants_questions else self.preset_cards
        below = self.preset_button.sizeHint().height() + offers.sizeHint().height()
        if self._card_shown and self.card is not None:
            below = self.card.heightForWidth(self.card.width())
        fits = above + below + 2 * self.fontMetrics().height() <= self.height()
        for label in (self._title, self._line):
            label.setVisible(fits or not self._card_shown)
        self.preset_button.setVisible(not self._card_shown)
        for each in (self._questions, self.preset_cards):
            each.setVisible(each is offers and fits and not self._card_shown)

    def minimumSizeHint(self) -> QSize:
        """Narrow windows are fine."""
        return QSize(self.fontMetrics().height() * 16, 0)

    def set_card(self, card: WelcomeCard) -> None:
        """Add the card, hidden, below the greeting."""
        self.card = card
        card.hide()
        card.resized.connect(self._show_what_fits)
        self._column.insertWidget(self._column.indexOf(self._note) + 1, card)

    def show_card(self, shown: bool) -> None:
        """Show the card, or the questions where `shown` is false or there is no card."""
        self._card_shown = shown and self.card is not None
        if self.card is not None:
            self.card.setVisible(shown)
        self._note.setVisible(not self._card_shown and bool(self._note.text()))
        self._show_what_fits()

    def show_questions(self, wanted: bool) -> None:
        self._wants_questions = wanted
        self._show_what_fits()

    def show_presets(self, presets: Sequence[tuple[str, str]], current: int | None) -> None:
        """Show the presets, names and icons, and the one in force; the menu is the window's."""
        self.preset_cards.show_presets(presets, current)
        name = presets[current][0] if current is not None else ""
        text = tr("Preset: {name}", name=name) if name else tr("Choose a preset…")
        self.preset_button.setText(f"{text} ▾")
        self.preset_button.setAccessibleName(text)
        self._show_what_fits()

    def set_model_name(self, name: str, note: str = "") -> None:
        """Say who answers, and what to expect of it."""
        if name:
            text = tr("{model} answers on this computer. Nothing leaves it.", model=name)
        else:
            text = tr("The model answers on this computer. Nothing leaves it.")
        self._line.setText(text)
        # Empty lines in its place: no question moves under the mouse.
        self._note.setText(note or "\n" * self._note.text().count("\n"))
        self._note.setVisible(bool(self._note.text()) and not self._card_shown)
        self._show_what_fits()
