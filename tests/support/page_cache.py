"""What Linux holds in memory."""

import ctypes

from deepseek_r1.hardware.storage import PAGE


def pages_in_memory(address: int, nbytes: int) -> int:
    """How many pages of mapped memory are there, whoever read them."""
    pages = (ctypes.c_ubyte * (-(-nbytes // PAGE)))()
    arguments = ctypes.c_void_p(address), ctypes.c_size_t(nbytes), pages
    assert ctypes.CDLL(None).mincore(*arguments) == 0
    return sum(each & 1 for each in pages)
