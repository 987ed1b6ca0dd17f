"""Reads the files that are attached to a message."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deepseek_r1.core.errors import ErrorReport, R1Error
from deepseek_r1.core.i18n import N_
from deepseek_r1.documents.reading import read_document
from r1desk.store import Attachment

MAX_FILES = 10


class TooManyAttachments(R1Error):
    """More files than one message takes."""

    what = N_("Not all files were attached.")
    why = N_("A message takes at most {limit} files.")
    todo = N_("Send the rest with the next message.")


def read_attachments(paths: Sequence[Path]) -> list[Attachment | ErrorReport]:
    """The text of each file, or why it is refused. Not for the main thread."""
    results: list[Attachment | ErrorReport] = []
    for path in paths:
        try:
            document = read_document(path)
            results.append(Attachment(document.name, document.text()))
        except R1Error as error:
            results.append(error.report())
    return results
