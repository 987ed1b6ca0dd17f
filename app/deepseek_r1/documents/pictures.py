"""Pictures, whose text is read by the package `deepseek_r1.ocr`: all that others know of it.

That package needs an extra. It is imported by its name, and only in the process that reads.
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, Protocol, cast

from deepseek_r1.core.paths import catalogue_dir
from deepseek_r1.documents.block_writer import BlockWriter
from deepseek_r1.documents.document import UNRECOGNISED, RecognisedPage
from deepseek_r1.documents.reader_protocol import DrawPage, PageDrawn, PageRows

DETECTION: Final = "PP-OCRv6_det_small.onnx"
RECOGNITION: Final = "PP-OCRv6_rec_small.onnx"
# Not translated: a text has the same tokens whatever language the window speaks.
UNREAD: Final = "[A picture that was not read.]"
_STARTS: Final = (b"\x89PNG", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")


class PageText(NamedTuple):
    """The text behind a line that names its source, how sure it is, its words; "" for none."""

    text: str
    sure: float | None = None
    page: RecognisedPage = UNRECOGNISED


class PictureReader(Protocol):
    """The functions of `deepseek_r1.ocr.picture_text`, where they are described."""

    def load_models(self) -> None: ...

    def page_text(self, picture: Any, alive: Callable[[], object]) -> PageText: ...

    def embedded_text(self, file: IO[bytes], writer: BlockWriter) -> PageText: ...

    def write_picture(self, path: Path, writer: BlockWriter) -> str: ...

    def draw_picture(self, request: DrawPage, send: Callable[[PageRows], object]) -> PageDrawn: ...


def picture_reader() -> PictureReader:
    """Import the package. Raises ImportError without the extra."""
    return cast("PictureReader", import_module("deepseek_r1.ocr.picture_text"))


def is_picture(head: bytes) -> bool:
    """Whether a file that begins so is a PNG, JPEG, GIF, TIFF, WebP or BMP."""
    is_bitmap = head.startswith(b"BM") and head[6:10] == bytes(4)
    return head.startswith(_STARTS) or head[8:12] == b"WEBP" or is_bitmap


@cache
def models_folder() -> Path | None:
    """The folder of the models; None where the extra `ocr` is not installed."""
    if any(find_spec(name) is None for name in ("onnxruntime", "PIL")):
        return None
    folders = [catalogue_dir() / "ocr"]  # of the bundle
    spec = find_spec("rapidocr")
    if spec is not None and spec.submodule_search_locations:
        folders += [Path(place, "models") for place in spec.submodule_search_locations]
    return next((each for each in folders if (each / RECOGNITION).is_file()), None)
