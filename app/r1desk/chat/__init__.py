"""The centre of the window: a conversation as it is read, and the box it is written in.

Widgets here emit signals and never call the engine or the store. What a model wrote is drawn as
text: nothing it names is loaded, opened or followed.
"""

from __future__ import annotations

from r1desk.chat.composer import Composer
from r1desk.chat.values import ShownMessage
from r1desk.chat.view import ChatView

__all__ = ["ChatView", "Composer", "ShownMessage"]
