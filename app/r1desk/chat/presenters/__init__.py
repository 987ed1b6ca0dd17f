"""The presenters of the chat, and the handler of what a person asks for."""
