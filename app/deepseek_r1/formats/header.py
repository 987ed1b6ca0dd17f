"""The header of a model file as a value, whatever the file's format."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import TypeVar

from deepseek_r1.core.file_path import JsonPath
from deepseek_r1.formats.container import Scalar, TensorInfo

GGUF = "GGUF"
FIRST_GGUF = 1  # the version that llama.cpp no longer reads

Value = Scalar | tuple[Scalar, ...]
ValueT = TypeVar("ValueT")
_KEPT = 2  # headers: a model's and its draft's


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The sizes of a model; of a list with one value per layer, the largest."""

    context_trained: int
    blocks: int
    embedding: int
    feed_forward: int
    heads: int
    heads_kv: int
    key_length: int
    value_length: int
    experts: int


@dataclass(frozen=True, slots=True)
class ModelHeader(ModelShape):
    """The contents of a model file's header.

    `metadata` has the scalars and the short arrays; long ones (the vocabulary) were only counted.
    """

    path: JsonPath
    parts: tuple[JsonPath, ...]
    file_bytes: int  # of all parts
    version: int
    architecture: str
    name: str
    metadata: Mapping[str, Value]
    tensors: tuple[TensorInfo, ...]
    template: str | None
    vocabulary: int
    quantisation: str
    parameters: int
    has_output: bool  # `output.weight` is a tensor of its own, not the embedding
    tokenizer_model: str
    tokenizer_pre: str
    markers: frozenset[str] = frozenset()  # of chat formats, that are tokens of the vocabulary
    thinks: bool = False  # its chat template, or its vocabulary, has tags of thinking
    merges: int = 0  # of byte pairs in the vocabulary, where the file lists them
    template_bytes: int = 0
    vocabulary_bytes: int = 0  # of the file, for tokens and merges: texts and their lengths
    special_tokens: int = 0  # control tokens and those that a user defined
    end_text: str = ""  # of the token that ends an answer
    states: tuple[tuple[int, int], ...] = field(default=(), compare=False)  # see `Container.state`
    container: str = GGUF  # or the old "GGML", "GGMF", "GGJT", "GGCC"

    @property
    def legacy(self) -> bool:
        """True for a file from before today's GGUF, which the engine for old files computes."""
        return self.container != GGUF or self.version == FIRST_GGUF

    @property
    def format_name(self) -> str:
        """For example "GGUF 3" or "GGML"; unversioned formats have no number."""
        return f"{self.container} {self.version}" if self.version else self.container


def once_per_header(compute: Callable[[ModelHeader], ValueT]) -> Callable[[ModelHeader], ValueT]:
    """Keep what `compute` returned for each thread's last headers: a plan asks a hundred times."""
    of_thread = threading.local()

    @wraps(compute)
    def kept(header: ModelHeader) -> ValueT:
        known: tuple[tuple[ModelHeader, ValueT], ...] = getattr(of_thread, "known", ())
        for each, value in known:
            if each is header:
                return value
        value = compute(header)
        of_thread.known = (*known, (header, value))[-_KEPT:]
        return value

    return kept
