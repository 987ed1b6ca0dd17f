"""The switch that lets other programs use the model: its button and its dialog."""

from PySide6.QtCore import QTimer, Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMainWindow, QWidget

from deepseek_r1.memory import meter
from r1desk.features import Feature, Presenter, Services
from r1desk.models.controller import ModelController
from r1desk.serving.controller import ServingController
from r1desk.serving.server_process import ServingState
from r1desk.serving.widgets import ServingButton, ServingDialog


class ServingWindow(QMainWindow):
    """The main window, as serving uses it."""

    serving_button: ServingButton
    serving_action: QAction


class ServingFeature(Feature[ServingWindow]):
    """Owns the server's controller. Main thread."""

    def __init__(self, services: Services, models: ModelController) -> None:
        super().__init__()
        self._models = models
        self.controller = ServingController(services, models, self)

    def attach(self, window: ServingWindow) -> None:
        button = window.serving_button
        presenter = ServingPresenter(window, button, self.controller, self._models)
        window.serving_action.triggered.connect(presenter.open)
        self.presenters = [presenter]

    def close(self) -> None:
        self.controller.close()


MEMORY_EVERY_MS = 2000


class ServingPresenter(Presenter):
    """Opens the dialog, one at a time, and keeps it and the button up to date."""

    def __init__(
        self,
        window: QWidget,
        button: ServingButton,
        serving: ServingController,
        models: ModelController,
    ) -> None:
        super().__init__(button)
        self._window, self._button = window, button
        self._serving, self._models = serving, models
        self._dialog: ServingDialog | None = None
        self._memory_timer = QTimer(self, interval=MEMORY_EVERY_MS)
        self._memory_timer.timeout.connect(self._show_memory)
        serving.changed.connect(self._on_changed)
        button.clicked.connect(self.open)
        button.show_state(serving.state)

    @Slot()
    def open(self) -> None:
        """Show the dialog, or bring it to the front."""
        if self._dialog is None:
            self._dialog = dialog = ServingDialog(self._window)
            dialog.switch.clicked.connect(self._on_switched)
            dialog.port.valueChanged.connect(self._serving.set_port)
            dialog.new_key_requested.connect(self._serving.make_new_key)
            dialog.finished.connect(self._on_closed)
            dialog.show_state(self._serving.state)
            self._show_memory()
            self._memory_timer.start()
            dialog.show()
        self._dialog.raise_()
        self._dialog.activateWindow()

    @Slot()
    def _on_closed(self) -> None:
        self._dialog = None
        self._memory_timer.stop()

    @Slot(bool)
    def _on_switched(self, on: bool) -> None:
        if on:
            self._serving.start()
        else:
            self._serving.stop()
        if self._dialog is not None:  # also where nothing changed: the switch shows what is
            self._dialog.show_state(self._serving.state)

    @Slot(object)
    def _on_changed(self, state: ServingState) -> None:
        self._button.show_state(state)
        if self._dialog is not None:
            self._dialog.show_state(state)
            self._show_memory()

    @Slot()
    def _show_memory(self) -> None:
        if self._dialog is None:
            return
        pid = self._serving.pid
        self._dialog.show_memory(meter.process_mib(pid) if pid else 0.0)
