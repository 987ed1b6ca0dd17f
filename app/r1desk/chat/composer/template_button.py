"""The chat template of a model whose file has none: a flat button with a menu."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QActionGroup
from PySide6.QtWidgets import QMenu, QToolButton, QWidget

from deepseek_r1.core.events import TemplateSource, TemplateUsed
from deepseek_r1.core.i18n import N_, tr
from deepseek_r1.core.template_names import COMPLETION, TEMPLATE_NAMES
from r1desk.theme.fonts import scaled

_FONT_SCALE = 0.85
_NAME_CHARACTERS = 32
_REASONS = {
    TemplateSource.FILE: N_("The chat template is the model file's own."),
    TemplateSource.FAMILY: N_(
        "The model file has no chat template. This is the template of its family."
    ),
    TemplateSource.COMPLETION: N_(
        "The model file has no chat template and does not show that it was trained for "
        "conversations, so the model continues the text. Choose a template if it was."
    ),
    TemplateSource.CHOSEN: N_("This chat template was chosen here for this model file."),
}


class TemplateButton(QToolButton):
    """Hidden while the file's own template is used.

    Signals:
        template_chosen: a name from the list; empty for the automatic choice.
        file_requested: a template from a file is wanted.
    """

    template_chosen = Signal(str)
    file_requested = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAutoRaise(True)
        self.setFont(scaled(self.font(), _FONT_SCALE))
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._used = TemplateUsed()
        self._file_name = ""
        self._menu = QMenu(self)
        self._menu.aboutToShow.connect(self._fill_menu)
        self.setMenu(self._menu)
        self.hide()

    def show_template(self, used: TemplateUsed, file_name: str = "") -> None:
        """Name the template in force and where it is from; `file_name` of one from a file."""
        self._used, self._file_name = used, file_name
        text = tr("Template: {name}", name=template_title(used.name, file_name))
        self.setText(text)
        self.setAccessibleName(text)
        self.setToolTip(tr(_REASONS[used.source]))
        self.setAccessibleDescription(self.toolTip())
        self.setVisible(used.source is not TemplateSource.FILE)

    @Slot()
    def _fill_menu(self) -> None:
        self._menu.clear()
        group = QActionGroup(self._menu)
        is_chosen = self._used.source is TemplateSource.CHOSEN
        chosen = self._used.name if is_chosen else ""
        self._add(group, tr("Automatic"), "", is_checked=not is_chosen)
        self._menu.addSeparator()
        for name in TEMPLATE_NAMES:
            self._add(group, template_title(name), name, is_checked=name == chosen)
        self._menu.addSeparator()
        if is_chosen and not chosen:
            present = self._menu.addAction(template_title("", self._file_name))
            present.setCheckable(True)
            present.setChecked(True)
            group.addAction(present)
        self._menu.addAction(tr("Template file…")).triggered.connect(self._request_file)

    def _add(self, group: QActionGroup, text: str, name: str, *, is_checked: bool) -> None:
        action = self._menu.addAction(text)
        action.setCheckable(True)
        action.setChecked(is_checked)
        group.addAction(action)
        action.triggered.connect(partial(self._choose, name))

    def _choose(self, name: str, _checked: bool = False) -> None:
        self.template_chosen.emit(name)

    @Slot()
    def _request_file(self) -> None:
        self.file_requested.emit()


def template_title(name: str, file_name: str = "") -> str:
    """A template's name for people; that of its file is shortened, for a menu and a button."""
    if name == COMPLETION:
        return tr("none, text is continued")
    if len(file_name) > _NAME_CHARACTERS:
        file_name = f"{file_name[: _NAME_CHARACTERS - 1]}…"
    return name or file_name.replace("&", "&&") or tr("from a file")
