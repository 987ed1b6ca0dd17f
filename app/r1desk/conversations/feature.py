"""The list of conversations, search, trash, export and import."""

from __future__ import annotations

from r1desk.chat.feature import ChatFeature
from r1desk.conversations.presenter import ConversationsPresenter, ConversationsWindow
from r1desk.features import Feature, Services


class ConversationsFeature(Feature):
    """Owns the presenter, which serves one window after another. Main thread."""

    def __init__(self, services: Services, chat: ChatFeature) -> None:
        super().__init__()
        self.presenter = ConversationsPresenter(services.store, chat.controller, chat.history)
        self.presenter.purged.connect(chat.prompts.retain_present)

    def attach(self, window: ConversationsWindow) -> None:
        """Show the conversations in this window."""
        self.presenter.attach(window)

    def start(self) -> None:
        """Show the conversation of last time."""
        self.presenter.open_last()

    def detach(self) -> None:
        """Let go of the window."""
        self.presenter.detach()

    def close(self) -> None:
        """End what runs."""
        self.presenter.close()
