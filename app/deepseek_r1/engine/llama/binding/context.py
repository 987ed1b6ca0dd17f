"""A llama.cpp context: the KV cache, and the computation of tokens into it."""

import ctypes
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from deepseek_r1.core import log as _log
from deepseek_r1.core.errors import EngineFailed, StreamingUnavailable
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.interrupts import deferred_interrupt
from deepseek_r1.core.settings import KVType
from deepseek_r1.engine.llama.binding.checkpoints import Checkpoints
from deepseek_r1.engine.llama.binding.graphics_device import LEAST_ROWS, OpenDevice
from deepseek_r1.engine.llama.binding.kernels import Kernels, make_attention, make_mul_mat
from deepseek_r1.engine.llama.binding.library import Library
from deepseek_r1.engine.llama.binding.model import LlamaModel, load_failed
from deepseek_r1.memory.graphics import stop_graphics, using
from deepseek_r1.native.native_library import NodeKernels, native
from deepseek_r1.weights.ggml.buffer_type import KVMemory
from deepseek_r1.weights.ggml.tensor_layout import address_of
from deepseek_r1.weights.streamed_weights import StreamedWeights

# What llama_decode returns.
_NO_KV_SLOT = 1
_ABORTED = 2

# Up to so many tokens are computed again in each turn. Against pieces of 256 they take 1 % more
# processor time (R1's 1.5B shape in Q4_K_M, 512 tokens, one thread, the least of three runs).
PIECE_TOKENS = 128


@dataclass(frozen=True, slots=True)
class ContextParams:
    """The parameters of a context. Lengths are in tokens."""

    context_length: int  # cells of the KV cache, shared by all sequences
    micro_batch: int
    kv_type: KVType
    sequences: int
    threads: int
    threads_prefill: int
    draft_tokens: int = 0  # the most that are computed along with a chosen token
    snapshots: bool = False  # one more sequence, through which ranges of cells are copied
    device: OpenDevice | None = None  # a graphics processor, for products of many rows
    recurrent: bool = False  # the model has a recurrent state beside its cells
    # The fewest and the most rows that our kernels multiply, by the names of types.
    kernel_rows: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def all_sequences(self) -> int:
        """The sequences and, after them, the one for snapshots."""
        return self.sequences + int(self.snapshots)

    @property
    def max_outputs(self) -> int:
        """The most rows of logits of one computation. llama.cpp needs one for each sequence."""
        return max(self.all_sequences, 1 + self.draft_tokens)


class AbortFlag:
    """Stops a running computation from any thread, without Python in the computing threads.

    llama.cpp calls its abort callback after every operation of the graph. The callback here is
    the C library's own `strlen` on our two bytes: b"\\0" has length 0, which means "go on"; b"\\1"
    has length 1, which means "abort". It needs no lock and no interpreter, and is set by one store.
    """

    def __init__(self) -> None:
        libc = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
        self.function = address_of(libc.strlen)
        self._bytes = ctypes.create_string_buffer(2)
        self.address = ctypes.addressof(self._bytes)
        self.raised = False  # mirrors the bytes, and is cheaper to read than they are

    def set(self) -> None:
        self.raised = True
        self._bytes[0] = b"\1"

    def clear(self) -> None:
        self._bytes[0] = b"\0"
        self.raised = False


class AbortedError(Exception):
    """An `AbortFlag` ended a computation; the cells that it had begun are removed again."""


class BatchToken(NamedTuple):
    """A token for one of several sequences."""

    token: int
    position: int
    sequence: int
    wants_logits: bool


def default_context_params(api: Any, context_length: int, batch: int) -> Any:
    """Return `llama_context_params` for one sequence, with everything on the processor."""
    params = api.llama_context_default_params()
    params.n_ctx = context_length
    params.n_batch = params.n_ubatch = batch
    params.n_seq_max = 1
    params.flash_attn_type = api.LLAMA_FLASH_ATTN_TYPE_AUTO
    params.no_perf = True
    params.offload_kqv = params.op_offload = False
    return params


class LlamaContext:
    """Owns a `llama_context` and records which tokens are in its cells. For one thread.

    Any thread may use `abort` and lower `batch_limit`.
    """

    def __init__(
        self,
        library: Library,
        model: LlamaModel,
        params: ContextParams,
        weights: StreamedWeights | None = None,
        kv_memory: KVMemory | None = None,
    ) -> None:
        """Allocate the KV cache and the buffers, in `kv_memory` if it is given.

        Raises ModelLoadFailed where that fails, StreamingUnavailable.
        """
        self._api = library.api
        self._weights = weights
        self._kv_memory = kv_memory  # kept alive: ggml frees the buffers in it at `close`
        self._log = library.log
        self.params = params
        self.batch_limit = params.micro_batch  # prompt tokens of one computation
        self.abort = AbortFlag()
        ggml = weights.ggml if weights is not None else None
        self._attention = make_attention(library, ggml)
        self._mul_mat = make_mul_mat(library, ggml, params.kernel_rows)
        self._device = params.device
        self._graphics: Kernels | None = None
        if self._device is not None:
            self._graphics = self._device.kernels(library, ggml, self.abort.address)
            self._device.in_use = True
        self._kernels = NodeKernels()  # kept alive: the eval callback's user data
        with kv_memory.intercept() if kv_memory is not None else nullcontext():
            native_params = self._native_params()
            self.pointer: Any = self._api.llama_init_from_model(model.pointer, native_params)
        if not self.pointer:
            self._free_callback_objects()
            detail = library.log.last_error() or "the context could not be created"
            raise load_failed(model.path, detail)
        if weights is not None:
            weights.on_failure = self.abort.set
            try:
                weights.on_context_created(lambda: self.abort.raised)
            except StreamingUnavailable:
                self._api.llama_free(self.pointer)
                self._free_callback_objects()
                raise
        self.memory = self._api.llama_get_memory(self.pointer)
        self.cells: list[int] = []  # the tokens of sequence 0, where it is the only one
        self.whole_pieces = 0  # leading cells that were filled in whole pieces: `PromptPieces`
        self.checkpoints = Checkpoints(self._api, self.pointer) if params.recurrent else None
        self.batched_cells = 0
        """The cells of all sequences, where there are several; `cells` is empty then."""
        self._tokens = (self._api.llama_token * params.micro_batch)()
        self._batch = self._api.llama_batch_get_one(self._tokens, params.micro_batch)
        most_rows = max(params.micro_batch, params.max_outputs)
        self._token_batch = self._api.llama_batch_init(most_rows, 0, 1)

    def _free_callback_objects(self) -> None:
        if self._weights is not None:
            self._weights.callback.set_kernels(NodeKernels())
        for each in self._all_kernels:
            if each is not None:
                each.close()
        if self.params.device is not None:
            self.params.device.in_use = False

    @property
    def _all_kernels(self) -> tuple[Kernels | None, ...]:
        """In the order of `NodeKernels`."""
        return self._attention, self._mul_mat, self._graphics

    def _set_eval_callback(self, native_params: Any) -> None:
        parts = self._all_kernels
        self._kernels = kernels = NodeKernels(
            *(None if each is None else each.user_data for each in parts)
        )
        if self._weights is not None:
            eval_callback = self._weights.callback
            eval_callback.set_kernels(kernels)
            callback, user_data = eval_callback.address, eval_callback.user_data
        elif any(parts):
            callback = address_of(native().kernels_on_node)
            user_data = ctypes.addressof(kernels)
        else:
            return
        native_params.cb_eval = ctypes.cast(callback, self._api.ggml_backend_sched_eval_callback)
        native_params.cb_eval_user_data = user_data

    def _native_params(self) -> Any:
        api, params = self._api, self.params
        llama = default_context_params(api, params.context_length, params.micro_batch)
        llama.n_seq_max = params.all_sequences
        llama.kv_unified = True
        # Only the last token of a sequence and the drafts need logits. Without this bound their
        # buffer is micro-batch x vocabulary x 4 bytes: 148 MiB at 256 x 151,936.
        llama.n_outputs_max = params.max_outputs
        # States to go back to by a few tokens, where drafts are not kept.
        llama.n_rs_seq = params.draft_tokens if params.recurrent else 0
        llama.n_threads, llama.n_threads_batch = params.threads, params.threads_prefill
        llama.type_k = llama.type_v = {
            KVType.F16: api.GGML_TYPE_F16,
            KVType.Q8_0: api.GGML_TYPE_Q8_0,
            KVType.Q4_0: api.GGML_TYPE_Q4_0,
        }[params.kv_type]
        llama.abort_callback = ctypes.cast(self.abort.function, api.ggml_abort_callback)
        llama.abort_callback_data = self.abort.address
        self._set_eval_callback(llama)
        return llama

    def close(self) -> None:
        if self.pointer is not None:
            self._api.llama_batch_free(self._token_batch)
            self._api.llama_free(self.pointer)
            self.pointer = None
            self._free_callback_objects()

    @property
    def kernels_name(self) -> str:
        """The kernels that compute in llama.cpp's place; empty for none.

        Others give other last digits.
        """
        return "; ".join(each.name for each in self._all_kernels if each is not None)

    @property
    def used(self) -> int:
        return len(self.cells) + self.batched_cells

    @property
    def piece_tokens(self) -> int:
        return min(PIECE_TOKENS, self.params.micro_batch)

    @property
    def max_batch_tokens(self) -> int:
        """The most tokens of one computation: the micro-batch, or fewer where memory is short."""
        return min(self.batch_limit, self.most_tokens)

    @property
    def most_tokens(self) -> int:
        """The most tokens of one computation that there is memory for."""
        limit = self._weights.tokens_at_once if self._weights is not None else 0
        return min(self.params.micro_batch, limit or self.params.micro_batch)

    def set_threads(self, threads: int, threads_prefill: int) -> None:
        self._api.llama_set_n_threads(self.pointer, threads, threads_prefill)

    def truncate(self, length: int) -> int:
        """Keep the first `length` cells, or with a recurrent state those up to a checkpoint.

        None where the model's memory cannot be cut there. Returns how many are kept.
        """
        if self.checkpoints is not None and length < len(self.cells):
            return self.rewind(length)
        return self.cut(length)

    def reachable(self, length: int, *, whole: bool = False) -> int:
        """Return how many of the first `length` cells `truncate` can keep.

        With `whole`, up to a checkpoint of cells that were filled in whole pieces.
        """
        if self.checkpoints is None or length == len(self.cells):
            return length
        found = self.checkpoints.before(length, whole=whole)
        return found.tokens if found is not None else 0

    def take_back(self, count: int) -> None:
        """Drop the last tokens of a pass, at most `params.draft_tokens`. Raises EngineFailed."""
        length = len(self.cells) - count
        if self.cut(length) != length:
            raise EngineFailed(detail="drafted tokens cannot be taken back")

    def rewind(self, length: int) -> int:
        """Return to the last checkpoint before a position, whatever the recurrent state is now."""
        checkpoints = self.checkpoints
        found = checkpoints.before(length) if checkpoints is not None else None
        if checkpoints is None or found is None or not checkpoints.put(found.state):
            self.clear()
            return 0
        checkpoints.forget(found.tokens)
        return self.cut(found.tokens)

    def cut(self, length: int) -> int:
        """`truncate`, where no recurrent state has tokens behind `length`."""
        if not self._api.llama_memory_seq_rm(self.memory, 0, length, -1):
            self.clear()
            return 0
        del self.cells[length:]
        self.whole_pieces = min(self.whole_pieces, length)
        return length

    def compute(self, tokens: Sequence[int]) -> None:
        """Append up to `max_batch_tokens` tokens. Raises AbortedError, EngineFailed."""
        count = len(tokens)
        self._tokens[:count] = tokens
        self._batch.n_tokens = count
        self.check(self._decode(self._batch))
        self.cells += tokens

    def _decode(self, batch: Any) -> int:
        device = self._device if batch.n_tokens >= LEAST_ROWS else None
        with self.interruptible(), using(device.name) if device else nullcontext():
            status: int = self._api.llama_decode(self.pointer, batch)
        if status == _ABORTED and self._give_up_graphics():
            return self._decode(batch)
        return status

    def _give_up_graphics(self) -> bool:
        """Return whether a product failed, and the pass is to be computed again without them."""
        device, graphics = self._device, self._graphics
        failure = 0 if graphics is None else native().graphics_failure(graphics.user_data)
        if device is None or not failure:
            return False
        self._device = None
        stop_graphics(device.name)
        _log.engine.error("%s is not used any more: failure %d", device.name, failure)
        if self.abort.raised:  # by the user
            return False
        self.abort.clear()
        if self.checkpoints is not None:  # the state may go back further than the cells
            self._undo()
            raise EngineFailed(detail=tr("the graphics processor failed; it is not used any more"))
        if self._weights is not None:
            self._weights.abort_pass()
        return True

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let Ctrl-C end a computation at once. Raises KeyboardInterrupt after the block."""
        try:
            with deferred_interrupt(self.abort.set):
                yield
        except KeyboardInterrupt:
            self.abort.clear()
            self._undo()
            raise

    def _undo(self) -> Exception | None:
        """Remove what a computation had begun. Returns the error that ended it, if it is known."""
        failure = self._weights.abort_pass() if self._weights is not None else None
        if self.batched_cells:
            return failure  # those of several sequences are removed by their owner
        if self.checkpoints is not None:  # the state may have the first of the tokens already
            self.rewind(len(self.cells))
        else:
            self.cut(len(self.cells))
        return failure

    def compute_embedding(self, token: int) -> list[float]:
        """Append a token and return its embedding, scaled to length 1. Raises as `compute` does."""
        self._api.llama_set_embeddings(self.pointer, True)
        try:
            self.compute([token])
            width = self._api.llama_model_n_embd_out(self._api.llama_get_model(self.pointer))
            values: list[float] = self._api.llama_get_embeddings_ith(self.pointer, -1)[:width]
        finally:
            self._api.llama_set_embeddings(self.pointer, False)
        length = math.hypot(*values)
        return [value / length for value in values] if length else values

    def compute_with_drafts(self, tokens: Sequence[int]) -> None:
        """Append up to `params.max_outputs` tokens, with logits for each. Raises as `compute`."""
        rows = enumerate(tokens, start=len(self.cells))
        self._decode_rows([BatchToken(token, at, 0, wants_logits=True) for at, token in rows])
        self.cells += tokens

    def compute_batch(self, tokens: Sequence[BatchToken]) -> None:
        """Compute up to `max_batch_tokens` of several sequences at once, while `cells` is empty.

        Adds them to `batched_cells`. Raises as `compute` does; the caller then removes what the
        computation has begun, and corrects `batched_cells`.
        """
        self.batched_cells += len(tokens)  # also where it fails
        self._decode_rows(tokens)

    def _decode_rows(self, rows: Sequence[BatchToken]) -> None:
        batch = self._token_batch
        batch.n_tokens = len(rows)
        for at, (token, position, sequence, wants_logits) in enumerate(rows):
            batch.token[at], batch.pos[at], batch.logits[at] = token, position, wants_logits
            batch.n_seq_id[at], batch.seq_id[at][0] = 1, sequence
        self.check(self._decode(batch))

    def remove(self, sequence: int, length: int) -> bool:
        """Keep the first `length` cells of one of several sequences. Returns whether it could."""
        return bool(self._api.llama_memory_seq_rm(self.memory, sequence, length, -1))

    def share(self, source: int, target: int, length: int) -> None:
        """Add the first `length` cells of `source` to the empty sequence `target`."""
        self._api.llama_memory_seq_cp(self.memory, source, target, 0, length)

    def clear(self) -> None:
        self._api.llama_memory_clear(self.memory, False)
        if self.checkpoints is not None:
            self.checkpoints.forget(-1)
        self.cells.clear()
        self.whole_pieces = 0
        self.batched_cells = 0

    def check(self, status: int) -> None:
        if status == 0:
            return
        if (failure := self._undo()) is not None:
            raise EngineFailed(detail=str(failure)) from failure
        if status == _ABORTED:
            raise AbortedError
        if status == _NO_KV_SLOT:
            raise EngineFailed(detail="the context is full")
        raise EngineFailed(detail=self._log.last_error() or f"llama_decode returned {status}")
