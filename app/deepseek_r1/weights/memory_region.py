"""Memory for weights and the pages it is counted in, from the system's storage layer."""

from __future__ import annotations

from deepseek_r1.hardware.storage import PAGE, page_down, page_up
from deepseek_r1.hardware.storage import SystemRegion as Region

__all__ = ["PAGE", "Region", "page_down", "page_up"]
