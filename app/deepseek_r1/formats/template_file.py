"""Reads the source of a chat template from a file that the user chose. Nothing is rendered here."""

from pathlib import Path
from typing import Final

from deepseek_r1.core.errors import TemplateFileUnusable
from deepseek_r1.core.i18n import tr

MAX_SOURCE_CHARACTERS: Final = 64 * 1024  # the longest published one has about 30,000


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
