"""The text of a picture, as a page of a document has it."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

from deepseek_r1.documents.ocr.reading_order import ordered_text
from deepseek_r1.documents.ocr.recognition import recognised
from deepseek_r1.documents.plain_text import with_joined_chinese

# Not translated: a text has the same tokens whatever language the window speaks.
_MARK = "[Read from a picture, {sure:.0%} sure.]\n{text}"


def page_text(picture: Image.Image, alive: Callable[[], object]) -> str:
    """The text, behind a line that names its source; "" where there is none.

    `alive` is called after each line. Raises MemoryError, and errors of onnxruntime.
    """
    lines = recognised(picture.convert("RGB"), alive)
    characters = sum(len(line.text) for line in lines)
    sure = sum(line.confidence * len(line.text) for line in lines) / max(1, characters)
    text = with_joined_chinese(ordered_text(lines))
    return _MARK.format(sure=sure, text=text) if lines else ""
