"""A feature of the window wires itself: its services, its presenters, its life."""

from pathlib import Path
from typing import Generic, Protocol, TypeVar

from PySide6.QtCore import QObject, SignalInstance
from PySide6.QtWidgets import QMainWindow

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.events import ModelFacts, ModelLoaded
from deepseek_r1.core.settings import LoadSettings
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.preferences import Preferences
from r1desk.store.store_bridge import StoreBridge
from r1desk.widgets.notice_bar import Notice

# The main window, as a feature uses it.
Window_contra = TypeVar("Window_contra", bound=QMainWindow, contravariant=True)


class Services(Protocol):
    """The session, as its features use it, for all windows of its life."""

    engine: EngineBridge
    store: StoreBridge
    preferences: Preferences
    profile: Path  # its folder
    writable: bool  # unless another process has the profile's lock or the drive refuses

    def save_preferences(self) -> None:
        """Save them soon, all changes of a moment together."""

    def notify(self, notice: Notice) -> None:
        """Show a notice in the window that is shown just then."""

    def withdraw(self, topic: str) -> None:
        """Take back the notices of a topic."""

    def show_error(self, report: ErrorReport) -> None:
        """Show an error of the user's world, with what can be done about it."""

    def set_language(self, code: str | None) -> None:
        """Build the window anew in another language, or the system's for None."""


class AnsweringModel(Protocol):
    """The `ModelController`, as the chat needs it."""

    @property
    def loaded(self) -> SignalInstance: ...  # `ModelLoaded`
    @property
    def current(self) -> ModelLoaded | None: ...
    @property
    def facts(self) -> ModelFacts | None: ...  # of the loaded model
    @property
    def ready(self) -> bool: ...  # a question would be answered at once
    @property
    def name(self) -> str: ...  # for the answers that it writes
    @property
    def next_path(self) -> Path | None: ...  # the one being loaded, else the chosen one
    @property
    def settings(self) -> LoadSettings: ...  # those in force
    @property
    def context_length(self) -> int: ...
    @property
    def budget_mib(self) -> float: ...

    def ensure_loading(self) -> None: ...
    def choose(self, path: Path) -> None: ...
    def use(self, path: str) -> bool: ...
    def apply(self, settings: LoadSettings) -> None: ...
    async def reduce_weights(self, mib: float) -> bool: ...


class Presenter(QObject):
    """Connects controllers with the widgets of one window; both are handed to it."""

    def close(self) -> None:
        """Disconnect before the window goes."""
        self.deleteLater()


class Feature(QObject, Generic[Window_contra]):
    """Controllers that live as long as the application, and presenters for the present window.

    The session has a list of them. A feature is handed `Services` and the features below it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.presenters: list[Presenter] = []

    def attach(self, window: Window_contra) -> None:
        """Connect the controllers with the widgets of a new window."""

    def start(self) -> None:
        """Begin what may take a moment: the window is on the screen."""

    def detach(self) -> None:
        """Let go of the window, which is about to be closed or replaced."""
        for presenter in self.presenters:
            presenter.close()
        self.presenters = []

    def close(self) -> None:
        """Save what there is and end what runs; `detach` came before."""
