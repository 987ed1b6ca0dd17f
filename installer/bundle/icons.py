"""Draws the application's icon in each system's format from resources/icons/app.svg.

    python installer/bundle/icons.py FOLDER

Writes r1desk.svg and r1desk-SIZE.png (Linux), r1desk.ico (Windows) and r1desk.icns (macOS). Needs
PySide6 to draw. Both containers hold ordinary PNG files, which all systems in use read.
"""

from __future__ import annotations

import os
import shutil
import struct
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PNG_SIZES_PX = (16, 24, 32, 48, 64, 128, 256, 512, 1024)
ICO_SIZES_PX = (16, 24, 32, 48, 64, 128, 256)
# Apple's names of the sizes: plain, and twice the points for fine screens.
ICNS_TYPES = {
    "icp4": 16,
    "ic11": 32,
    "icp5": 32,
    "ic12": 64,
    "ic07": 128,
    "ic13": 256,
    "ic08": 256,
    "ic14": 512,
    "ic09": 512,
    "ic10": 1024,
}


def main() -> int:
    """Write every format into the folder in the first argument."""
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    source = ROOT / "resources" / "icons" / "app.svg"
    pictures = {size: drawn(source, size) for size in PNG_SIZES_PX}
    for size, png in pictures.items():
        (folder / f"r1desk-{size}.png").write_bytes(png)
    (folder / "r1desk.ico").write_bytes(ico({size: pictures[size] for size in ICO_SIZES_PX}))
    (folder / "r1desk.icns").write_bytes(icns(pictures))
    shutil.copyfile(source, folder / "r1desk.svg")
    return 0


def drawn(source: Path, size_px: int) -> bytes:
    """Returns the picture as a PNG file of `size_px` squared."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from PySide6.QtCore import QBuffer, QByteArray, QIODevice, Qt  # noqa: PLC0415 - only to draw
    from PySide6.QtGui import QImage, QPainter  # noqa: PLC0415
    from PySide6.QtSvg import QSvgRenderer  # noqa: PLC0415

    image = QImage(size_px, size_px, QImage.Format.Format_ARGB32)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    QSvgRenderer(str(source)).render(painter)
    painter.end()
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")
    return bytes(data.data())


def ico(pictures: dict[int, bytes]) -> bytes:
    """Returns a Windows icon of PNG files by size: a table of entries, then the files."""
    head = struct.pack("<HHH", 0, 1, len(pictures))
    offset = len(head) + 16 * len(pictures)
    table, body = b"", b""
    for size, png in sorted(pictures.items()):
        edge = size % 256  # one byte; 0 stands for 256
        table += struct.pack("<BBBBHHII", edge, edge, 0, 0, 1, 32, len(png), offset + len(body))
        body += png
    return head + table + body


def icns(pictures: dict[int, bytes]) -> bytes:
    """Returns an Apple icon of PNG files by size: records of type, length and file."""
    body = b""
    for kind, size in ICNS_TYPES.items():
        body += kind.encode("ascii") + struct.pack(">I", 8 + len(pictures[size])) + pictures[size]
    return b"icns" + struct.pack(">I", 8 + len(body)) + body


if __name__ == "__main__":
    sys.exit(main())
