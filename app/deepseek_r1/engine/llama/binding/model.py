"""A llama.cpp model: its weights and vocabulary in memory."""

import ctypes
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from deepseek_r1.core import log
from deepseek_r1.core.errors import (
    ArchitectureUnknown,
    LoadStopped,
    ModelLoadFailed,
    R1Error,
    StreamingUnavailable,
    SystemTooTight,
)
from deepseek_r1.core.frames import without_surrogates
from deepseek_r1.core.interrupts import Interrupt, deferred_interrupt
from deepseek_r1.engine.llama.binding.library import Library
from deepseek_r1.engine.output.reasoning import THINK, ThinkingFormat
from deepseek_r1.hardware.pressure import memory_reading
from deepseek_r1.hardware.storage import SystemFile
from deepseek_r1.weights.direct_file import WeightsUnreadableError
from deepseek_r1.weights.ggml.buffer_type import BufferInterceptor, PlainBufferType
from deepseek_r1.weights.ggml.tensor_layout import Ggml, typed
from deepseek_r1.weights.streamed_weights import StreamedWeights

_EMBEDDING = rb"^token_embd\.weight$"
_ATTR_UNKNOWN, _ATTR_CONTROL, _ATTR_USER_DEFINED = 1, 8, 16
_PIECE_BYTES = 64
_DROP_EVERY = 1 / 32  # of the file, while it is loaded
_TEXTS_CACHED = 4096  # most tokens of a text, in less than 1 MiB

Progress = Callable[[float], bool]


class LlamaModel:
    """Owns a `llama_model`. Reading the vocabulary is safe from any thread."""

    def __init__(
        self,
        library: Library,
        parts: Sequence[Path],
        on_progress: Progress,
        weights: StreamedWeights | None = None,
        *,
        repack: bool = True,
        form: ThinkingFormat = THINK,
    ) -> None:
        """Read the weights of all `parts`, in order; with `weights`, only those that are pinned.

        They are read, not mapped, and repacked for this CPU's instructions while they are read, so
        each weight is in memory once. Streamed weights are never repacked. `on_progress` gets
        fractions and stops the load by returning False (LoadStopped). Raises
        ModelLoadFailed with llama.cpp's own error, ArchitectureUnknown.
        """
        self._api, self.path = library.api, str(parts[0])
        # The model points to this and to `_ordinary`.
        self._huge_pages = _huge_page_buffers(library) if weights is None else None
        with ExitStack() as allocating:
            if self._huge_pages is not None:
                allocating.enter_context(self._huge_pages.intercept())
            cpu_type = typed(library.functions.ggml_backend_cpu_buffer_type, ctypes.c_size_t)
            self._ordinary = PlainBufferType(cpu_type(), _EMBEDDING)

            def on_read(fraction: float) -> bool:
                allocating.close()  # all buffers exist before the first weight is read
                return on_progress(fraction)

            overrides = (weights or self._ordinary).overrides
            self.pointer = _load(
                library, parts, on_read, weights, overrides=overrides, repack=repack
            )
        self.vocab = self._api.llama_model_get_vocab(self.pointer)
        has_encoder = self._api.llama_model_has_encoder(self.pointer)
        if has_encoder or not self._api.llama_model_has_decoder(self.pointer):
            architecture = self._metadata("general.architecture")
            self.close()
            raise ArchitectureUnknown(path=self.path, architecture=architecture)
        self.vocabulary: int = self._api.llama_vocab_n_tokens(self.vocab)
        self.bos: int = self._api.llama_vocab_bos(self.vocab)
        self.bos_text = self.text_of(self.bos)
        self.eos_text = self.text_of(self._api.llama_vocab_eos(self.vocab))
        self.adds_bos: bool = self._api.llama_vocab_get_add_bos(self.vocab) and self.bos >= 0
        self.fill_in_tokens: tuple[int, int, int] = (
            self._api.llama_vocab_fim_pre(self.vocab),
            self._api.llama_vocab_fim_suf(self.vocab),
            self._api.llama_vocab_fim_mid(self.vocab),
        )
        heads: int = self._api.llama_model_n_head(self.pointer)
        self.attention_heads = heads * int(self._api.llama_model_n_layer(self.pointer))
        """Those of all layers."""
        recurrent = self._api.llama_model_is_recurrent(self.pointer)
        self.can_truncate = not (recurrent or self._api.llama_model_is_hybrid(self.pointer))
        """Whether the last tokens of a context can be removed."""
        tags = (self.tokenize(tag, special=True)[:1] for tag in (form.open_tag, form.close_tag))
        first = (token for tokens in tags for token in tokens)  # none in an odd vocabulary
        self.thinking_tags = frozenset(each for each in first if self.text_of(each).endswith(">"))
        self.token_text: Callable[[int], bytes | None] = lru_cache(_TEXTS_CACHED)(self._token_text)
        """Returns a token's text; None for one that ends the answer. Caches frequent tokens."""

    def close(self) -> None:
        """Free the memory. Contexts created from the model must be closed before."""
        if self.pointer is not None:
            self._api.llama_model_free(self.pointer)
            self.pointer = None

    def _metadata(self, key: str) -> str:
        buffer = ctypes.create_string_buffer(256)
        name = key.encode("utf-8")
        self._api.llama_model_meta_val_str(self.pointer, name, buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace")

    # ---- vocabulary -------------------------------------------------------------------------

    def text_of(self, token: int) -> str:
        """Return a token as the vocabulary spells it; empty for one that does not exist."""
        if not 0 <= token < self.vocabulary:
            return ""
        return (self._api.llama_vocab_get_text(self.vocab, token) or b"").decode("utf-8", "replace")

    @cached_property
    def longest_token(self) -> int:
        """The most bytes of a token, or a few more: its spelling may be longer than its text."""
        get_text = self._api.llama_vocab_get_text
        texts = (get_text(self.vocab, token) for token in range(self.vocabulary))
        return max((len(text or b"") for text in texts), default=1) or 1

    def _token_text(self, token: int) -> bytes | None:
        return None if self.is_end(token) else self.piece(token)

    def is_end(self, token: int) -> bool:
        return bool(self._api.llama_vocab_is_eog(self.vocab, token))

    def markers(self) -> Iterator[str]:
        """Yield control tokens and texts like `<|...|>`. See `prompt_builder.Tokenizer`."""
        attribute = self._api.llama_vocab_get_attr
        for token in range(self.vocabulary):
            kind = attribute(self.vocab, token)
            if kind & (_ATTR_CONTROL | _ATTR_UNKNOWN):
                yield self.text_of(token)
            elif kind & _ATTR_USER_DEFINED and _looks_like_marker(text := self.text_of(token)):
                yield text

    def tokenize(self, text: str, *, special: bool, whole: bool = False) -> list[int]:
        """Return the tokens of `text` alone; `whole` between those that begin and end a text."""
        raw = without_surrogates(text).encode()
        capacity = len(raw) + 16  # a token has at least a byte; prefixes may add a few
        tokens = (self._api.llama_token * capacity)()
        count = self._api.llama_tokenize(
            self.vocab, raw, len(raw), tokens, capacity, whole, special
        )
        if count < 0:
            raise ValueError(f"{-count} tokens from {len(raw)} bytes")
        made: list[int] = tokens[:count]
        return made

    def piece(self, token: int) -> bytes:
        """Return a token's text; control tokens have none, except the thinking tags."""
        size = _PIECE_BYTES
        while True:
            buffer = ctypes.create_string_buffer(size)  # its own: any thread may call
            count = self._api.llama_token_to_piece(
                self.vocab, token, buffer, size, 0, token in self.thinking_tags
            )
            if count >= 0:
                return buffer.raw[:count]
            size = -count


def _huge_page_buffers(library: Library) -> BufferInterceptor | None:
    """Return what puts the weights into huge pages; None where there are none.

    Every token reads all weights, and with small pages the processor looks up the address of each
    4 KiB. With huge ones it decodes 1.06 times as fast (docs/measurements/memory-and-threads.md).
    Linux alone gives them to any program that asks. Intel's AMX has buffers of its own, which stay
    in small pages.
    """
    if sys.platform != "linux":
        return None
    try:
        return BufferInterceptor(Ggml(library.functions), huge_pages=True)
    except (StreamingUnavailable, OSError) as error:  # OSError: no address space
        log.engine.warning("the weights are in small pages: %s", error)
        return None


def _looks_like_marker(text: str) -> bool:
    return text.startswith(("<|", "<｜")) and text.endswith(("|>", "｜>"))


def _load(
    library: Library,
    parts: Sequence[Path],
    on_progress: Progress,
    weights: StreamedWeights | None,
    *,
    overrides: int,
    repack: bool,
) -> Any:
    """Return the model's pointer. Python exceptions cannot cross C, so they are raised here."""
    api = library.api
    errors: list[BaseException] = []
    interrupt, dropped = Interrupt(), 0.0
    fills_group = weights is None and memory_reading().grouped

    def progress(fraction: float, _user_data: int | None) -> bool:
        nonlocal dropped
        if fills_group and (fraction >= dropped + _DROP_EVERY or fraction >= 1.0):
            dropped = fraction
            _drop_cache(parts)
        try:
            if interrupt.pressed or not on_progress(fraction):
                errors.append(LoadStopped())
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)
        return not errors

    params = api.llama_model_default_params()
    params.n_gpu_layers = 0
    params.load_mode = api.LLAMA_LOAD_MODE_NONE
    params.use_extra_bufts = repack and weights is None  # repacked, they are not the file's bytes
    params.progress_callback = api.llama_progress_callback(progress)
    params.tensor_buft_overrides = overrides
    names = (ctypes.c_char_p * len(parts))(*map(os.fsencode, parts))
    library.log.clear()
    pointer = None
    try:
        with deferred_interrupt() as interrupt:
            pointer = api.llama_model_load_from_splits(names, len(parts), params)
    except KeyboardInterrupt:
        if pointer:
            api.llama_model_free(pointer)
        raise
    if errors:
        raise errors[0]
    if not pointer:
        raise load_failed(str(parts[0]), library.log.last_error() or "no reason given")
    if weights is not None:
        try:
            weights.finish_load(on_progress)
        except BaseException as error:
            api.llama_model_free(pointer)
            if isinstance(error, WeightsUnreadableError):
                raise ModelLoadFailed(path=str(parts[0]), detail=str(error)) from error
            raise
    return pointer


def _drop_cache(parts: Sequence[Path]) -> None:
    """Drop files from the page cache, which counts as a control group's memory."""
    for path in parts:
        try:
            with closing(SystemFile(path, direct=False)) as file:
                file.drop_cache(0, file.nbytes)
        except OSError as error:  # llama.cpp will say what is wrong with it
            log.engine.info("%s stays in the page cache: %s", path.name, error)


def load_failed(path: str, detail: str) -> R1Error:
    """The error for what llama.cpp says of a load: the file's fault, or that of memory limits."""
    if "failed to allocate" in detail:
        return SystemTooTight(detail=detail)
    return ModelLoadFailed(path=path, detail=detail)
