"""Reads that bypass the page cache, and memory that can be released, on three systems."""

import sys

from deepseek_r1.hardware.storage.posix_storage import PAGE, page_down, page_up

if sys.platform == "win32":
    from deepseek_r1.hardware.storage.windows_storage import WindowsFile as SystemFile
    from deepseek_r1.hardware.storage.windows_storage import WindowsRegion as SystemRegion
elif sys.platform == "darwin":
    from deepseek_r1.hardware.storage.posix_storage import MacFile as SystemFile
    from deepseek_r1.hardware.storage.posix_storage import MacRegion as SystemRegion
else:
    from deepseek_r1.hardware.storage.posix_storage import LinuxFile as SystemFile
    from deepseek_r1.hardware.storage.posix_storage import LinuxRegion as SystemRegion

__all__ = ["PAGE", "SystemFile", "SystemRegion", "page_down", "page_up"]
