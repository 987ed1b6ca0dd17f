"""Values of the chat: messages, intents, sizes; they know no controller and no widget."""
