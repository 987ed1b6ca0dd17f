"""Reads how much memory this machine has for us."""

from __future__ import annotations

import sys

import psutil

from deepseek_r1.hardware import linux

_MIB = 1 << 20


def machine_memory_mib() -> float:
    """Memory in MiB: the machine's, or less where a container or a control group limits us."""
    total = psutil.virtual_memory().total
    limit = linux.memory_limit_bytes() if sys.platform == "linux" else None
    return min(total, limit or total) / _MIB
