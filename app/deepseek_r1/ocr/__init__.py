"""Recognises the text of pictures: PaddleOCR's models, run by onnxruntime, in the locked reader.

The models are PP-OCRv6's small ones for Chinese and English (Apache-2.0), as `rapidocr` carries
them; of that package only these files are used. Nothing here is imported without the extra `ocr`.
"""

import importlib.util
from functools import cache
from pathlib import Path
from typing import Final

from deepseek_r1.core.paths import catalogue_dir

DETECTION: Final = "PP-OCRv6_det_small.onnx"
RECOGNITION: Final = "PP-OCRv6_rec_small.onnx"
_STARTS: Final = (b"\x89PNG", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
OCR_MIB: Final = 300  # that a reader takes more for a page of any size; measured


def is_picture(head: bytes) -> bool:
    """Whether a file that begins so is a PNG, JPEG, GIF, TIFF, WebP or BMP."""
    is_bitmap = head.startswith(b"BM") and head[6:10] == bytes(4)
    return head.startswith(_STARTS) or head[8:12] == b"WEBP" or is_bitmap


@cache
def models_folder() -> Path | None:
    """The folder of the models; None where the extra `ocr` is not installed."""
    if any(importlib.util.find_spec(name) is None for name in ("onnxruntime", "PIL")):
        return None
    folders = [catalogue_dir() / "ocr"]  # of the bundle
    spec = importlib.util.find_spec("rapidocr")
    if spec is not None and spec.submodule_search_locations:
        folders += [Path(place, "models") for place in spec.submodule_search_locations]
    return next((each for each in folders if (each / RECOGNITION).is_file()), None)
