"""Positioned reads past the page cache and memory that can be given back, on three systems."""

from __future__ import annotations

import sys

from deepseek_r1.hardware.storage.base import PAGE, RawFile, Region, page_down, page_up

if sys.platform == "win32":
    from deepseek_r1.hardware.storage.windows import WindowsFile as SystemFile
    from deepseek_r1.hardware.storage.windows import WindowsRegion as SystemRegion
elif sys.platform == "darwin":
    from deepseek_r1.hardware.storage.macos import MacFile as SystemFile
    from deepseek_r1.hardware.storage.macos import MacRegion as SystemRegion
else:
    from deepseek_r1.hardware.storage.linux import LinuxFile as SystemFile
    from deepseek_r1.hardware.storage.linux import LinuxRegion as SystemRegion

__all__ = ["PAGE", "RawFile", "Region", "SystemFile", "SystemRegion", "page_down", "page_up"]
