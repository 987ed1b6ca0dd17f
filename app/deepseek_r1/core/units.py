"""Amounts of memory and sizes of files, as people read them: GB with one digit.

A GB is 1,024 MiB here, so that a file, the memory that it takes and the budget compare.
"""

import math

LEAST_GB_MIB = 100  # below it, GB with one digit would be nearly nothing
_gigabytes = False


def format_mib(mib: float, *, up: bool = False) -> str:
    """An amount for people. `up`: it is needed, so less would not do."""
    if mib < LEAST_GB_MIB:
        return f"{math.ceil(mib) if up else round(mib):,} MB"
    return f"{math.ceil(mib / 102.4) / 10 if up else mib / 1024:,.1f} GB"


def format_part(mib: float, whole_mib: float) -> str:
    """A part of a whole amount, such as a budget."""
    return f"{mib / 1024:,.1f} / {whole_mib / 1024:,.1f} GB"


def format_size(nbytes: int) -> str:
    """A file's size for people."""
    return format_mib(nbytes / (1 << 20))


def use_gigabytes(chosen: bool) -> None:
    """Let sentences of the library state GB, as in the window; without it MiB, as its options."""
    global _gigabytes  # noqa: PLW0603 - one kind of user per process
    _gigabytes = chosen


def file_in_sentence(nbytes: int, *, up: bool = False) -> str:
    """A file's size in whole MB: one that is a little too short differs from what is needed."""
    mib = math.ceil(nbytes / (1 << 20)) if up else nbytes >> 20
    return f"{mib:,} MB" if _gigabytes else f"{mib:,} MiB"


def in_sentence(mib: float, *, up: bool = False) -> str:
    """An amount in a sentence of the library."""
    return format_mib(mib, up=up) if _gigabytes else f"{mib:,.0f} MiB"
