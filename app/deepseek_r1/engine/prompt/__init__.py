"""Turns messages into the text and the tokens of a prompt."""
