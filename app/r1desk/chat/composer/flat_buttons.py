"""The flat buttons of the composer: two with a menu, and the number of tokens."""

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QInputDialog, QMenu, QSizePolicy, QToolButton, QWidget

from deepseek_r1.core.events import TemplateSource, TemplateUsed
from deepseek_r1.core.i18n import N_, tr
from deepseek_r1.core.settings import THINKING_BUDGETS
from deepseek_r1.formats.template_file import COMPLETION, TEMPLATE_NAMES
from r1desk.chat.text import display_text as fit
from r1desk.chat.values.duration import budget_cost, budget_name
from r1desk.chat.values.prompt import PromptSize
from r1desk.theme import set_role
from r1desk.theme.fonts import scaled
from r1desk.theme.icons import icon
from r1desk.widgets.text_label import call_with, open_menu_by

_FONT_SCALE = 0.85
_FIRST_NUMBER = 1_024
_MOST = 1_048_576
_NAME_CHARACTERS = 32
_REASONS = {
    TemplateSource.FILE: N_("The chat template comes with the model."),
    TemplateSource.FAMILY: N_("This model has no chat template. The one of its family is used."),
    TemplateSource.COMPLETION: N_(
        "This model has no chat template, so it only continues your text. If it was "
        "made for chatting, choose a template."
    ),
    TemplateSource.CHOSEN: N_("You chose this chat template for this model."),
}

_LEAST_EM = 2  # of the number of tokens


class _MenuButton(QToolButton):
    """Hidden at first; `_fill` puts the entries into the menu each time it is shown."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAutoRaise(True)
        self.setFont(scaled(self.font(), _FONT_SCALE))
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._menu = QMenu(self)
        self._menu.aboutToShow.connect(self._on_about_to_show)
        open_menu_by(self, self._menu)
        self.hide()

    @Slot()
    def _on_about_to_show(self) -> None:
        self._menu.clear()
        self._group = QActionGroup(self._menu)
        self._fill()

    def _fill(self) -> None:
        """Add the entries."""

    def _add(self, text: str, *, is_checked: bool) -> QAction:
        action = QAction(text, self._menu, checkable=True, checked=is_checked)
        self._menu.addAction(action)
        self._group.addAction(action)
        return action


class ThinkingButton(_MenuButton):
    """Shows the thinking budget in force; hidden for a model that does not think."""

    budget_chosen = Signal(object)  # the tokens, None for no limit

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setIcon(icon("brain", "text_dim"))
        self.show_budget(None)

    def show_budget(self, budget: int | None, decode_tok_s: float = 0.0) -> None:
        """Name the budget in force.

        The model's speed is for the times beside the budgets; 0 where it is unknown.
        """
        self._budget, self._decode_tok_s = budget, decode_tok_s
        text = tr("Thinking: {budget}", budget=budget_name(budget))
        self.setText(text)
        self.setAccessibleName(text)
        cost = budget_cost(budget, decode_tok_s)
        self.setToolTip(tr("Thinking time before the answer: {cost}", cost=cost))
        self.setAccessibleDescription(self.toolTip())

    def _fill(self) -> None:
        for budget in THINKING_BUDGETS.values():
            cost = budget_cost(budget, self._decode_tok_s)
            self._add_budget(f"{budget_name(budget)}  –  {cost}", budget)
        if self._budget not in THINKING_BUDGETS.values():
            self._add_budget(budget_cost(self._budget, self._decode_tok_s), self._budget)
        self._menu.addSeparator()
        self._menu.addAction(tr("Another number…")).triggered.connect(self._on_number)

    def _add_budget(self, text: str, budget: int | None) -> None:
        action = self._add(text, is_checked=budget == self._budget)
        call_with(action.triggered, self._choose, budget)

    def _choose(self, budget: int | None) -> None:
        self.show_budget(budget, self._decode_tok_s)
        self.budget_chosen.emit(budget)

    @Slot()
    def _on_number(self) -> None:
        dialog = QInputDialog(self.window())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setInputMode(QInputDialog.InputMode.IntInput)
        dialog.setWindowTitle(tr("Thinking budget"))
        dialog.setLabelText(tr("Most tokens to think before the answer:"))
        dialog.setIntRange(0, _MOST)
        dialog.setIntStep(256)
        dialog.setIntValue(self._budget or _FIRST_NUMBER)
        dialog.intValueSelected.connect(self._choose)
        dialog.open()


class TemplateButton(_MenuButton):
    """The chat template of a model; hidden while the file's own is used."""

    template_chosen = Signal(str)  # a name from the list; empty for the automatic choice

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._used = TemplateUsed()
        self._file_name = ""
        self.file_action = QAction(tr("Template file…"), self)

    def show_template(self, used: TemplateUsed, file_name: str = "") -> None:
        """Name the template in force and where it is from; `file_name` of one from a file."""
        self._used, self._file_name = used, file_name
        text = tr("Template: {name}", name=template_title(used.name, file_name))
        self.setText(text)
        self.setAccessibleName(text)
        self.setToolTip(tr(_REASONS[used.source]))
        self.setAccessibleDescription(self.toolTip())
        self.setVisible(used.source is not TemplateSource.FILE)

    def _fill(self) -> None:
        is_chosen = self._used.source is TemplateSource.CHOSEN
        chosen = self._used.name if is_chosen else ""
        self._add_name(tr("Automatic"), "", is_checked=not is_chosen)
        self._menu.addSeparator()
        for name in TEMPLATE_NAMES:
            self._add_name(template_title(name), name, is_checked=name == chosen)
        self._menu.addSeparator()
        if is_chosen and not chosen:
            self._add(template_title("", self._file_name), is_checked=True)
        self._menu.addAction(self.file_action)

    def _add_name(self, text: str, name: str, *, is_checked: bool) -> None:
        action = self._add(text, is_checked=is_checked)
        call_with(action.triggered, self.template_chosen.emit, name)


def template_title(name: str, file_name: str = "") -> str:
    """A template's name for people; that of its file is shortened, for a menu and a button."""
    if name == COMPLETION:
        return tr("none, it continues text")
    if len(file_name) > _NAME_CHARACTERS:
        file_name = f"{file_name[: _NAME_CHARACTERS - 1]}…"
    return name or file_name.replace("&", "&&") or tr("from a file")


class PromptSizeButton(QToolButton):
    """Keeps its place with nothing to show."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("tokens")
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAutoRaise(True)
        self.show_size(None)

    def show_size(self, size: PromptSize | None) -> None:
        shown = size if size and size.used else None
        line, details = (_line(shown), _details(shown)) if shown else ("", "")
        self.setText(line or " ")  # as high as a line
        self.setToolTip(fit.plain_tooltip(details))
        self.setAccessibleName(line or tr("Context"))
        self.setAccessibleDescription(details)
        self.setEnabled(shown is not None)  # else Tab would stop at nothing
        role = "warning" if shown and shown.nearly_full else ""
        set_role(self, "danger" if shown and not shown.fits else role)

    def minimumSizeHint(self) -> QSize:
        return QSize(_LEAST_EM * self.fontMetrics().height(), self.sizeHint().height())


def _line(size: PromptSize) -> str:
    if not size.fits:
        over, context = f"{size.total - size.context:,}", f"{size.context:,}"
        return tr("{over} tokens too long for the context of {context}", over=over, context=context)
    about = "" if size.exact and size.history_exact else "≈ "
    used = f"{about}{size.used:,}"
    line = tr("{used} of {context} tokens", used=used, context=f"{size.context:,}")
    return f"{line} · {tr('nearly full')}" if size.nearly_full else line


def _details(size: PromptSize) -> str:
    return tr(
        "Message: {message} tokens\nChat so far: {history} tokens\nKept free for the "
        "answer: {reserve} tokens\nContext: {context} tokens",
        message=f"{size.text:,}" if size.exact else f"≈ {size.text:,}",
        history=f"{size.history:,}" if size.history_exact else f"≈ {size.history:,}",
        reserve=f"{size.reserve:,}",
        context=f"{size.context:,}",
    )
