"""The pages that direct reads and memory are counted in."""

import mmap

# Addresses, offsets and lengths of direct reads are multiples of this: 4 KiB suits the sectors of
# every drive; a system with larger pages (16 KiB on Apple's processors) needs those.
PAGE = max(4096, mmap.PAGESIZE)


def page_down(number: int) -> int:
    """The start of the page that byte `number` is in."""
    return number & ~(PAGE - 1)


def page_up(number: int) -> int:
    """`number` rounded up to whole pages."""
    return (number + PAGE - 1) & ~(PAGE - 1)
