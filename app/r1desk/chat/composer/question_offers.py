"""Questions that are offered for documents that were attached without one."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from deepseek_r1.core.i18n import N_, tr
from r1desk.theme import set_role
from r1desk.widgets.layouts import filled
from r1desk.widgets.text_label import call_with

_QUESTIONS = {
    N_("Summarise"): N_("Summarise the attached documents."),
    N_("Key dates and amounts"): N_("List the important dates and amounts, and what each is for."),
    N_("Explain it simply"): N_("Explain in simple words what this is about."),
}


class QuestionOffers(QWidget):
    """A button for each question, hidden until one is missing."""

    chosen = Signal(str)  # the text of a question; empty where the user wants none of them

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        row = filled(QHBoxLayout(self), spacing=round(self.fontMetrics().height() * 0.4))
        self.buttons = [QPushButton(tr(label), autoDefault=False) for label in _QUESTIONS]
        for button, text in zip(self.buttons, _QUESTIONS.values(), strict=True):
            call_with(button.clicked, self._choose, text)
            row.addWidget(button)
        set_role(self.buttons[0], "primary")
        row.addStretch(1)
        self.hide()

    def _choose(self, question: str) -> None:
        self.chosen.emit(tr(question))

    def offer(self) -> None:
        """Show them; the next Enter chooses the first."""
        self.show()
        self.buttons[0].setFocus(Qt.FocusReason.TabFocusReason)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Take Enter for the button with the keyboard, arrows for its neighbours, Esc for none."""
        keys, focused = Qt.Key, self.focusWidget()
        at = self.buttons.index(focused) if focused in self.buttons else 0
        step = {keys.Key_Left: -1, keys.Key_Right: 1}.get(keys(event.key()), 0)
        if event.key() in (keys.Key_Return, keys.Key_Enter):
            self.buttons[at].click()
        elif event.key() == keys.Key_Escape:
            self.chosen.emit("")
        elif step:
            self.buttons[(at + step) % len(self.buttons)].setFocus()
        else:
            super().keyPressEvent(event)
