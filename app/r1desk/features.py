"""A feature of the window wires itself: its services, its presenters, its life."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QMainWindow

from deepseek_r1.core.errors import ErrorReport
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.preferences import Preferences
from r1desk.store.store_bridge import StoreBridge
from r1desk.widgets.notice_bar import Notice

# The main window, as a feature uses it.
Window_contra = TypeVar("Window_contra", bound=QMainWindow, contravariant=True)


@dataclass(frozen=True, slots=True)
class Services:
    """Made once by the session, for all windows of its life."""

    engine: EngineBridge
    store: StoreBridge
    preferences: Preferences
    save_preferences: Callable[[], None]  # soon, all changes of a moment together
    notify: Callable[[Notice], None]  # in the window that is shown just then, as `show_error`
    withdraw: Callable[[str], None]  # the notices of a topic
    show_error: Callable[[ErrorReport], None]
    profile: Path  # its folder
    can_write: bool  # unless another process has the profile's lock or the drive refuses


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
