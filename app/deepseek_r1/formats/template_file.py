"""Chat templates that a user chooses: by a name that `engine.prompt.template` has, or a file.

Nothing is rendered here.
"""

from pathlib import Path
from typing import Final

from deepseek_r1.core.errors import TemplateFileUnusable
from deepseek_r1.core.i18n import tr

MAX_SOURCE_CHARACTERS: Final = 64 * 1024  # the longest published one has about 30,000
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


def read_template_file(path: Path) -> str:
    """Return the text of a file in UTF-8. Raises TemplateFileUnusable."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            source = file.read(MAX_SOURCE_CHARACTERS + 1)
    except UnicodeDecodeError as error:
        raise _unusable(path, tr("It is not in UTF-8.")) from error
    except (OSError, ValueError) as error:  # ValueError: no system has such a name
        reason = getattr(error, "strerror", None) or str(error)
        raise _unusable(path, tr("The system reports: {detail}.", detail=reason)) from error
    if len(source) > MAX_SOURCE_CHARACTERS:
        most = f"{MAX_SOURCE_CHARACTERS:,}"
        raise _unusable(path, tr("It has more than {most} characters.", most=most))
    if "{" not in source:
        raise _unusable(path, tr("It contains no place for messages."))
    return source


def _unusable(path: Path, detail: str) -> TemplateFileUnusable:
    return TemplateFileUnusable(path=str(path), detail=detail)
