"""The outline of a model: its sizes without its weights, enough for a bill before a download."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from math import prod
from pathlib import Path

from deepseek_r1.formats.container import Container, read_leading_keys
from deepseek_r1.formats.gguf import ModelHeader, TensorInfo
from deepseek_r1.formats.header import ModelShape
from deepseek_r1.formats.shape import MAX_CONTEXT, MAX_LAYERS, MAX_WIDTH, read_shape

_VOCABULARY = "tokenizer.ggml.tokens"
_EXPERT_KEYS = ("expert_used_count", "expert_feed_forward_length")
_STATE_KEYS = ("ssm.conv_kernel", "ssm.inner_size", "ssm.state_size", "ssm.group_count")
_EXTRA = (*_EXPERT_KEYS, *_STATE_KEYS, "kda.head_dim", "full_attention_interval",
          "attention.sliding_window", "attention.key_length_mla")  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelOutline:
    """The sizes of a model, whatever its precision. `parameters` may be computed from them.

    `extra` are the numbers of `_EXTRA` that the file states. `tied`: its output is its embedding.
    """

    name: str
    architecture: str
    shape: ModelShape
    vocabulary: int
    parameters: int
    extra: Mapping[str, int] = field(default_factory=dict)
    tied: bool = False

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
            and all(0 <= number <= MAX_WIDTH for number in self.extra.values())
        )

    @property
    def _used(self) -> int:
        """The experts that a token uses; 0 for a dense model, and where that is not known."""
        used, width = (self.extra.get(key, 0) for key in _EXPERT_KEYS)
        return used if width and 0 < used <= self.shape.experts else 0

    @property
    def _convolution(self) -> tuple[int, int]:
        """Inputs and channels of the convolution in a recurrent block; 0 where there is none."""
        kernel, inner, state, groups = (self.extra.get(key, 0) for key in _STATE_KEYS)
        channels = 3 * self.shape.heads * self.extra.get("kda.head_dim", 0)
        return kernel, channels or inner + 2 * groups * state

    def header(self, file: str, file_bytes: int, quantisation: str) -> ModelHeader:
        """The header of a file of this model, as far as the memory bill needs it.

        The file's bytes are shared out to the weights by their numbers of parameters.
        """
        shape, path = self.shape, Path(file)
        embedding = shape.embedding * self.vocabulary
        share = file_bytes * embedding // self.parameters
        rows: tuple[int, ...] = (shape.embedding, self.vocabulary)
        tables = ("token_embd.weight",) if self.tied else ("token_embd.weight", "output.weight")
        weights, count = [(name, rows, share) for name in tables], len(tables)
        weights += self._block_weights(
            file_bytes - count * share, self.parameters - count * embedding
        )
        return ModelHeader(
            path=path,
            parts=(path,),
            file_bytes=file_bytes,
            version=3,
            architecture=self.architecture,
            name=self.name,
            metadata={f"{self.architecture}.{key}": number for key, number in self.extra.items()},
            tensors=tuple(
                TensorInfo(name, size, quantisation, nbytes) for name, size, nbytes in weights
            ),
            template=None,
            vocabulary=self.vocabulary,
            **asdict(shape if self._used else replace(shape, experts=0)),
            quantisation=quantisation,
            parameters=self.parameters,
            has_output=not self.tied,
            tokenizer_model="gpt2",
            tokenizer_pre="",
        )

    def _block_weights(
        self, nbytes: int, parameters: int
    ) -> Iterator[tuple[str, tuple[int, ...], int]]:
        """Name, shape and bytes of each block's weights: three of the feed-forward part, the rest.

        A model that runs from the disk is streamed block by block, its experts one by one.
        """
        blocks, kind = self.shape.blocks, ""
        matrix: tuple[int, ...] = (self.shape.embedding, self.shape.feed_forward)
        if self._used:
            width, kind = self.extra[_EXPERT_KEYS[1]], "_exps"
            matrix = (self.shape.embedding, width, self.shape.experts)
        block_parameters, block_bytes = parameters // blocks, nbytes // blocks
        matrix_bytes = block_bytes * prod(matrix) // block_parameters
        matrix_bytes -= matrix_bytes % max(1, self.shape.experts)
        rest = (block_parameters - 3 * prod(matrix),)
        interval, convolution = self.extra.get("full_attention_interval", 0), self._convolution
        for block in range(blocks):
            for name in ("ffn_gate", "ffn_up", "ffn_down"):
                yield f"blk.{block}.{name}{kind}.weight", matrix, matrix_bytes
            recurrent = interval > 0 and (block + 1) % interval > 0 and prod(convolution) > 0
            name = "ssm_out" if recurrent else "attn_qkv"
            yield f"blk.{block}.{name}.weight", rest, block_bytes - 3 * matrix_bytes
            if recurrent:
                yield f"blk.{block}.ssm_conv1d.weight", convolution, 0


def read_outline(start: bytes, file: str) -> ModelOutline:
    """The outline from the first bytes of a GGUF file, some 64 KiB. Raises a ModelRefused."""
    found = read_leading_keys(start, file)
    architecture = found.text("general.architecture") or ""
    shape = read_shape(found, architecture)
    vocabulary = found.arrays[_VOCABULARY].length if _VOCABULARY in found.arrays else 0
    if not 0 < vocabulary <= MAX_WIDTH:
        raise found.damaged(f"{_VOCABULARY}: {vocabulary}")
    name = found.text("general.name") or Path(file).stem
    parameters = _parameters(found, architecture, shape, vocabulary)
    stated = {key: found.values.get(f"{architecture}.{key}") for key in _EXTRA}
    extra = {key: int(number) for key, number in stated.items() if isinstance(number, int)}
    return ModelOutline(name, architecture, shape, vocabulary, parameters, extra)


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
