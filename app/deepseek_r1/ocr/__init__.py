"""Recognises the text of pictures: PaddleOCR's models, run by onnxruntime, in the locked reader.

The models are PP-OCRv6's small ones for Chinese and English (Apache-2.0), as `rapidocr` carries
them; of that package only these files are used. Nothing here is imported without the extra `ocr`.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Final

DETECTION: Final = "PP-OCRv6_det_small.onnx"
RECOGNITION: Final = "PP-OCRv6_rec_small.onnx"
OCR_MIB: Final = 300  # that a reader takes more for a page of any size; measured


@cache
def models_folder() -> Path | None:
    """The folder of the models; None where the extra `ocr` is not installed."""
    if any(importlib.util.find_spec(name) is None for name in ("onnxruntime", "PIL")):
        return None
    spec = importlib.util.find_spec("rapidocr")
    places = spec.submodule_search_locations if spec is not None else None
    folders = (Path(place, "models") for place in places or ())
    return next((each for each in folders if (each / RECOGNITION).is_file()), None)
