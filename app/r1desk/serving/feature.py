"""The switch that lets other programs use the model."""

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMainWindow

from r1desk.features import Feature, Services
from r1desk.models.controller import ModelController
from r1desk.serving.controller import ServingController
from r1desk.serving.presenter import ServingPresenter
from r1desk.serving.widgets import ServingButton


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
        """Show the button in this window."""
        button = window.serving_button
        presenter = ServingPresenter(window, button, self.controller, self._models)
        window.serving_action.triggered.connect(presenter.open)
        self.presenters = [presenter]

    def close(self) -> None:
        """End the server."""
        self.controller.close()
