"""The conversation on the screen: its controller, its presenter and its widgets."""
