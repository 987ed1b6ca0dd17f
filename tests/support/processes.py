"""Processes below others. Any of them may end while it is looked at."""

import psutil


def programs_below(pid: int, module: str) -> list[psutil.Process]:
    """The processes below this one that run this module of ours."""
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        try:
            words = child.cmdline()
        except psutil.NoSuchProcess:
            continue
        if module in words:
            found.append(child)
    return found
