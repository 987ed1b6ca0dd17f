"""Widgets of the chat. They emit signals and never call the engine or the store.

Text from a model is drawn as text: nothing that it names is loaded, opened or followed.
"""
