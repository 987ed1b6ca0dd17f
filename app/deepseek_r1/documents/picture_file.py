"""Opens pictures by Pillow: PNG, JPEG, WebP, TIFF, BMP, and a GIF's first frame."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import IO, Final

from PIL import Image, ImageOps

_FORMATS: Final = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
MOST_PIXELS: Final = 50_000_000  # 150 MB, and A4 at 600 dpi has 35
_MOST_SIDE: Final = 3_000  # more makes no letter clearer to the models
TooManyPixels: Final = (Image.DecompressionBombWarning, Image.DecompressionBombError)


def opened(file: Path | IO[bytes]) -> Image.Image:
    """The picture, not unpacked yet. Raises Pillow's errors, `TooManyPixels` of them."""
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    return Image.open(file, formats=_FORMATS)


def upright(picture: Image.Image) -> Image.Image:
    """The page as it is seen, in colours on white, and not larger than helps.

    It may be `picture` itself, which becomes smaller: copies would take most of the memory.
    """
    most = _MOST_SIDE, _MOST_SIDE
    picture.draft("RGB", most)  # a large JPEG is unpacked smaller
    picture.thumbnail(most, reducing_gap=None)
    ImageOps.exif_transpose(picture, in_place=True)
    seen = picture
    if seen.mode.startswith(("I", "F")):  # of 16 bits and more: Pillow would cut them off
        import numpy as np  # noqa: PLC0415 - most pictures do without

        values = np.asarray(seen, dtype=np.float32)
        lowest, highest = values.min(), values.max()
        grey = (values - lowest) * (255 / max(highest - lowest, 1e-6))
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if seen.mode in {"RGBA", "LA", "PA"} or "transparency" in seen.info:
        layer = seen.convert("RGBA")
        seen = Image.new("RGBA", layer.size, "white")
        seen.alpha_composite(layer)
    return seen if seen.mode == "RGB" else seen.convert("RGB")
