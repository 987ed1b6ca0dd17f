"""The weights of a model: their ranges in the file and the ggml tensors that stand for them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from deepseek_r1.core.errors import StreamingUnavailable
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.weights.ggml.tensor_layout import Ggml, set_word, word_at


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


class TensorRegistry:
    """Records each tensor while llama.cpp loads, and keeps llama.cpp from reading any."""

    def __init__(self, ggml: Ggml, header: ModelHeader) -> None:
        self._ggml = ggml
        self._weights = {
            each.name: Weight(each.name, each.part, each.offset, each.nbytes)
            for each in header.tensors
        }
        self._extents: dict[int, int] = {}  # a tensor's true extent, by the field's address
        self.by_address: dict[int, Weight] = {}
        self.viewed: set[Weight] = set()  # other tensors are views of them: they cannot be moved
        self.on_viewed: Callable[[Weight], None] = lambda _weight: None

    def named(self, names: Iterable[str]) -> list[Weight]:
        """The weights of the file with these names, whether the model uses them or not."""
        return [self._weights[name] for name in names]

    @property
    def by_name(self) -> dict[str, Weight]:
        return {each.name: each for each in self.by_address.values()}

    def on_tensor(self, tensor: int) -> None:
        """Record a tensor that llama.cpp placed in a buffer.

        Its length is set to zero until `assign_addresses`, so llama.cpp reads nothing into it.
        """
        weight = self._weights.get(self._ggml.name(tensor))
        if weight is None or tensor in self.by_address:
            viewed = self.by_address.get(word_at(tensor + self._ggml.fields.viewed))
            if viewed is not None:
                self.viewed.add(viewed)
                self.on_viewed(viewed)
            return
        if weight.tensor:  # a second tensor for the same weight
            self.viewed.add(weight)
        weight.tensor = tensor
        self.by_address[tensor] = weight
        extent = tensor + self._ggml.fields.extent
        self._extents[extent] = word_at(extent)
        set_word(extent, 0)

    def assign_addresses(self, address: Callable[[Weight], int]) -> None:
        """After the load, restore each tensor's length and point it to its `address`.

        Raises StreamingUnavailable.
        """
        for extent, length in self._extents.items():
            set_word(extent, length)
        for tensor, weight in self.by_address.items():
            if self._ggml.nbytes(tensor) != weight.nbytes:
                raise StreamingUnavailable(detail=f"{weight.name} has another size")
            set_word(tensor + self._ggml.fields.data, address(weight))
