"""The switch "Serve on this computer": a button in the header while it is on, and the dialog."""

from collections.abc import Sequence

from PySide6.QtCore import QSignalBlocker, QSize, Qt, Signal, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.core.i18n import tr, trn
from deepseek_r1.core.units import format_mib
from deepseek_r1.host.sharing_protocol import SharingClient
from r1desk.serving.server_process import SERVER_MIB, ServingPhase, ServingState
from r1desk.theme import explain, set_role
from r1desk.theme.icons import icon
from r1desk.widgets.bounded_dialog import BoundedDialog
from r1desk.widgets.layouts import put_inside, with_properties
from r1desk.widgets.text_label import push_button, text_label

PORTS = 1024, 65_535
_HIDDEN_KEY = "•" * 16


class ServingButton(QToolButton):
    """Shows that other programs can use the model; opens the dialog of the server."""

    def __init__(self) -> None:
        super().__init__(autoRaise=True)
        self.setIcon(icon("link", "accent"))
        self.setIconSize(QSize(18, 18))
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
        self.hide()

    def show_state(self, state: ServingState) -> None:
        """Show this state; nothing while the server is off."""
        self.setVisible(state.wanted)
        running = sum(client.running for client in state.clients)
        text = tr("Other programs can use the model at {address}", address=state.address or "…")
        if running:
            text += _running_text(running)
        self.setToolTip(text)
        self.setAccessibleName(text)


class ServingDialog(BoundedDialog):
    """Shows a `ServingState`; every change of `switch` and `port` is in force at once."""

    new_key_requested = Signal()  # the key is to be replaced

    def __init__(self, parent: QWidget | None) -> None:
        super().__init__(parent, tr("Serve on this computer"), QSize(560, 420))
        self._state = ServingState()
        self.switch = QCheckBox(tr("Serve on this computer"))
        self.status = text_label("")
        self.problem = text_label("", "danger")
        self.address = _value_label(tr("Address"))
        self.key = _value_label(tr("Key"))
        self.model = _value_label(tr("Model"))
        self.port = QSpinBox()
        self.port.setRange(*PORTS)
        self.port.setGroupSeparatorShown(False)
        self.port.setKeyboardTracking(False)
        self.port.setAccessibleName(tr("Port"))
        self.port.lineEdit().setTextMargins(6, 0, 6, 0)
        clipboard = QGuiApplication.clipboard()
        self.copy_address = push_button(tr("Copy"), lambda: clipboard.setText(self.address.text()))
        self.copy_address.setAccessibleName(tr("Copy the address"))
        self.copy_key = push_button(tr("Copy"), lambda: clipboard.setText(self._state.key))
        self.copy_key.setAccessibleName(tr("Copy the key"))
        self.show_key = push_button(tr("Show"), self._show_key)
        self.show_key.setCheckable(True)
        self.show_key.setAccessibleName(tr("Show the key"))
        self.new_key = push_button(tr("New key"), self.new_key_requested)
        self.clients = text_label("")
        self.clients.setWordWrap(True)
        self.memory = text_label("", "dim")
        self._fill(self.fill_column(spacing=10))

    def _fill(self, column: QVBoxLayout) -> None:
        switch_row = put_inside(column, QHBoxLayout())
        switch_row.addWidget(self.switch)
        switch_row.addStretch()
        switch_row.addWidget(self.status)
        column.addWidget(
            text_label(
                tr(
                    "Other programs on this computer can use the model through an "
                    "OpenAI-compatible API; the network cannot reach it. Your own messages come "
                    "first. It is off after each start of R1 Desk."
                ),
                "dim",
            )
        )
        column.addWidget(self.problem)
        self._fill_connection(put_inside(column, QGridLayout()))
        for title, label in (
            (tr("Programs that used it"), self.clients),
            (tr("Memory"), self.memory),
        ):
            column.addSpacing(4)
            column.addWidget(text_label(title, "heading"))
            column.addWidget(label)
        column.addStretch(1)

    def _fill_connection(self, grid: QGridLayout) -> None:
        grid.setHorizontalSpacing(14)
        grid.setVerticalSpacing(8)
        grid.setColumnStretch(1, 1)
        rows: tuple[tuple[str, QWidget, Sequence[QWidget]], ...] = (
            (tr("Address"), self.address, (self.copy_address,)),
            (tr("Key"), self.key, (self.show_key, self.copy_key, self.new_key)),
            (tr("Model"), self.model, ()),
            (tr("Port"), self.port, ()),
        )
        for row, (title, value, buttons) in enumerate(rows):
            centred = Qt.AlignmentFlag.AlignVCenter
            grid.addWidget(QLabel(title), row, 0, centred)
            left = centred | Qt.AlignmentFlag.AlignLeft if value is self.port else centred
            grid.addWidget(value, row, 1, left)
            beside = with_properties(QHBoxLayout(), spacing=8)
            grid.addLayout(beside, row, 2)
            beside.addStretch()
            for button in buttons:
                beside.addWidget(button)

    @Slot(object)
    def show_state(self, state: ServingState) -> None:
        """Show this state. Emits nothing."""
        self._state = state
        off = state.phase is ServingPhase.OFF
        self.switch.setChecked(state.wanted)
        self.status.setText(tr(state.phase))
        set_role(self.status, "success" if state.phase is ServingPhase.ON else "dim")
        self.problem.setText(state.problem)
        self.problem.setVisible(bool(state.problem))
        self.address.setText(state.address or f"http://127.0.0.1:{state.port}/v1")
        self.address.setEnabled(bool(state.address))
        self._show_key()
        self.model.setText(state.model_name or tr("No model is loaded."))
        programs = tr("Its name for programs: {name}", name=state.model) if state.model else ""
        explain(self.model, programs)
        with QSignalBlocker(self.port):
            self.port.setValue(state.port)
        for control in (self.port, self.new_key):
            control.setEnabled(off)
        self.clients.setText("\n".join(map(client_text, state.clients)) or tr("None yet"))

    def show_memory(self, server_mib: float) -> None:
        """Show the memory of the server's process; 0 while it is off."""
        self.memory.setText(memory_text(server_mib))

    @Slot()
    def _show_key(self) -> None:
        key, shown = self._state.key, self.show_key.isChecked()
        self.key.setText(
            (key if shown else _HIDDEN_KEY) if key else tr("Created when first switched on.")
        )
        self.show_key.setText(tr("Hide") if shown else tr("Show"))
        for button in (self.show_key, self.copy_key):
            button.setEnabled(bool(key))


def _value_label(name: str) -> QLabel:
    label = text_label("")
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setAccessibleName(name)
    return label


def client_text(client: SharingClient) -> str:
    """One program that used the server, in a line."""
    asked = trn("{n:,} request", "{n:,} requests", client.requests)
    return f"{client.name}: {asked}{_running_text(client.running) if client.running else ''}"


def _running_text(running: int) -> str:
    return tr(" · {n} being answered", n=running)


def memory_text(server_mib: float) -> str:
    """The server's memory in a sentence."""
    if server_mib <= 0:
        return tr("Switched on, the server takes about {memory}.", memory=format_mib(SERVER_MIB))
    return tr(
        "The server takes {memory}, included in the window's share.", memory=format_mib(server_mib)
    )
