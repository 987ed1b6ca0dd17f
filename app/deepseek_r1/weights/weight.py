"""A weight of the model: its range in the file and the ggml tensor that stands for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False, slots=True)
class Weight:
    """One tensor of a model file. Compared and hashed by identity."""

    name: str
    part: int  # index of its file
    offset: int  # in that file, bytes
    nbytes: int
    tensor: int = 0  # address of the ggml tensor; 0 until llama.cpp has made it

    @property
    def range(self) -> tuple[int, int, int]:
        """Index of its file, and the offsets of its first byte and of its end."""
        return self.part, self.offset, self.offset + self.nbytes
