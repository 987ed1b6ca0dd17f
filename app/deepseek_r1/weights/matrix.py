"""One weight as the parts of this package see it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False, slots=True)
class Matrix:
    """A tensor of the file, and the ggml tensor that stands for it."""

    name: str
    part: int  # index of its file
    offset: int  # in that file
    nbytes: int
    tensor: int = 0  # the ggml tensor's address, once it is known

    @property
    def range(self) -> tuple[int, int, int]:
        """Index of its file, and its first byte and the one behind its last there."""
        return self.part, self.offset, self.offset + self.nbytes
