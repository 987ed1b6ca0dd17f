"""Names of the chat templates that `engine.prompt.template` has."""

from typing import Final

TEMPLATE_NAMES: Final = (
    "chatml",
    "command-r",
    "deepseek-r1",
    "deepseek3",
    "gemma",
    "granite",
    "llama3",
    "mistral",
    "phi3",
    "vicuna",
    "zephyr",
    "completion",
)
COMPLETION: Final = "completion"
"""Text is continued, without roles: for base models."""
FAMILY: Final = "family"
"""The template that a file without its own gets, whatever the file has."""
