"""The ggml tensors of a model, each with the part of the file that it stands for."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from deepseek_r1.core.errors import StreamingUnavailable
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.weights.ggml import Ggml, set_word, word_at
from deepseek_r1.weights.homes import Homes
from deepseek_r1.weights.matrix import Matrix


class ModelTensors:
    """Hears of every tensor while llama.cpp loads, and keeps it from reading any."""

    def __init__(self, ggml: Ggml, header: ModelHeader) -> None:
        self._ggml = ggml
        self._matrices = {
            each.name: Matrix(each.name, each.part, each.offset, each.nbytes)
            for each in header.tensors
        }
        self._extents: dict[int, int] = {}
        self.by_address: dict[int, Matrix] = {}
        self.viewed: set[Matrix] = set()  # others look into them: they cannot be moved
        self.on_viewed: Callable[[Matrix], None] = lambda _matrix: None

    def named(self, names: Iterable[str]) -> list[Matrix]:
        """These weights of the file, whether the model uses them or not."""
        return [self._matrices[name] for name in names]

    @property
    def by_name(self) -> dict[str, Matrix]:
        """Those of the file that the model uses."""
        return {each.name: each for each in self.by_address.values()}

    def hear(self, tensor: int) -> None:
        """llama.cpp gave a tensor its place. Without a length it has nothing to be read."""
        matrix = self._matrices.get(self._ggml.name(tensor))
        if matrix is None or tensor in self.by_address:
            looked_at = self.by_address.get(word_at(tensor + self._ggml.fields.viewed))
            if looked_at is not None:
                self.viewed.add(looked_at)
                self.on_viewed(looked_at)
            return
        if matrix.tensor:  # the same weight again, under another address
            self.viewed.add(matrix)
        matrix.tensor = tensor
        self.by_address[tensor] = matrix
        extent = tensor + self._ggml.fields.extent
        self._extents[extent] = word_at(extent)
        set_word(extent, 0)

    def place(self, homes: Homes) -> None:
        """After the load: each has its length again, and its place. Raises StreamingUnavailable."""
        for extent, length in self._extents.items():
            set_word(extent, length)
        for tensor, matrix in self.by_address.items():
            if self._ggml.nbytes(tensor) != matrix.nbytes:
                raise StreamingUnavailable(detail=f"{matrix.name} has another size")
            set_word(tensor + self._ggml.fields.data, homes.address(matrix))
