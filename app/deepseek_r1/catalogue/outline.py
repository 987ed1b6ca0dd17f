"""The outline of a model: its sizes without its weights, enough for a bill before a download."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from deepseek_r1.formats.container import Container, read_leading_keys
from deepseek_r1.formats.gguf import ModelHeader, TensorInfo
from deepseek_r1.formats.header import ModelShape
from deepseek_r1.formats.metadata import Metadata
from deepseek_r1.formats.shape import MAX_CONTEXT, MAX_LAYERS, MAX_WIDTH, read_shape

_VOCABULARY = "tokenizer.ggml.tokens"


@dataclass(frozen=True, slots=True)
class ModelOutline:
    """The sizes of a model, whatever its precision. `parameters` may be computed from them."""

    name: str
    architecture: str
    shape: ModelShape
    vocabulary: int
    parameters: int

    @property
    def consistent(self) -> bool:
        """True for sizes that `header` can be computed from."""
        shape = self.shape
        widths = (shape.embedding, shape.heads, shape.heads_kv, shape.key_length, self.vocabulary)
        return (
            all(0 < width <= MAX_WIDTH for width in widths)
            and 0 <= shape.value_length <= MAX_WIDTH
            and 0 <= shape.feed_forward <= MAX_WIDTH
            and 0 < shape.blocks <= MAX_LAYERS
            and 0 < shape.context_trained <= MAX_CONTEXT
            and self.parameters - 2 * shape.embedding * self.vocabulary >= shape.blocks
        )

    def header(self, file: str, file_bytes: int, quantisation: str) -> ModelHeader:
        """The header of a file of this model, as far as the memory bill needs it.

        The file's bytes are shared out to the weights by their numbers of parameters.
        """
        shape, path = self.shape, Path(file)
        embedding = shape.embedding * self.vocabulary
        share = file_bytes * embedding // self.parameters
        rows: tuple[int, ...] = (shape.embedding, self.vocabulary)
        weights = [("token_embd.weight", rows, share), ("output.weight", rows, share)]
        weights += self._block_weights(file_bytes - 2 * share, self.parameters - 2 * embedding)
        return ModelHeader(
            path=path,
            parts=(path,),
            file_bytes=file_bytes,
            version=3,
            architecture=self.architecture,
            name=self.name,
            metadata={},
            tensors=tuple(
                TensorInfo(name, size, quantisation, nbytes) for name, size, nbytes in weights
            ),
            template=None,
            vocabulary=self.vocabulary,
            **asdict(replace(shape, experts=0)),
            quantisation=quantisation,
            parameters=self.parameters,
            has_output=True,
            tokenizer_model="gpt2",
            tokenizer_pre="",
        )

    def _block_weights(
        self, nbytes: int, parameters: int
    ) -> Iterator[tuple[str, tuple[int, ...], int]]:
        """Name, shape and bytes of each block's weights: three of the feed-forward part, the rest.

        A model that runs from the disk is streamed block by block.
        """
        blocks = self.shape.blocks
        matrix = (self.shape.embedding, self.shape.feed_forward)
        block_parameters, block_bytes = parameters // blocks, nbytes // blocks
        matrix_bytes = block_bytes * matrix[0] * matrix[1] // block_parameters
        rest = (block_parameters - 3 * matrix[0] * matrix[1],)
        for block in range(blocks):
            for name in ("ffn_gate", "ffn_up", "ffn_down"):
                yield f"blk.{block}.{name}.weight", matrix, matrix_bytes
            yield f"blk.{block}.attn_qkv.weight", rest, block_bytes - 3 * matrix_bytes


def read_outline(start: bytes, file: str) -> ModelOutline:
    """The outline from the first bytes of a GGUF file, some 64 KiB. Raises a ModelRefused."""
    found = read_leading_keys(start, file)
    keys = Metadata(found)
    architecture = keys.text("general.architecture") or ""
    shape = read_shape(found, architecture)
    vocabulary = found.arrays[_VOCABULARY].length if _VOCABULARY in found.arrays else 0
    if not 0 < vocabulary <= MAX_WIDTH:
        raise keys.damaged(f"{_VOCABULARY}: {vocabulary}")
    name = keys.text("general.name") or Path(file).stem
    parameters = _parameters(found, architecture, shape, vocabulary)
    return ModelOutline(name, architecture, shape, vocabulary, parameters)


def _parameters(found: Container, architecture: str, shape: ModelShape, vocabulary: int) -> int:
    """The parameters of a dense transformer of this shape, or of one with experts."""
    width = shape.embedding
    attention = width * shape.heads * (shape.key_length + shape.value_length)
    attention += width * shape.heads_kv * (shape.key_length + shape.value_length)
    feed_forward = 3 * width * shape.feed_forward
    expert = found.values.get(f"{architecture}.expert_feed_forward_length", 0)
    if shape.experts and isinstance(expert, int):
        feed_forward = max(feed_forward, 3 * width * expert * shape.experts)
    return 2 * width * vocabulary + shape.blocks * (attention + feed_forward)
