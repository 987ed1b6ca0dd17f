"""A model's working memory: the KV cache, and the computing of tokens into it."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

from deepseek_r1.core.errors import EngineFailed, EngineStartFailed, ModelLoadFailed
from deepseek_r1.core.settings import KVType
from deepseek_r1.engine.llama.library import Library
from deepseek_r1.engine.llama.model import LlamaModel
from deepseek_r1.native.library import Batch
from deepseek_r1.weights.context_memory import ContextMemory
from deepseek_r1.weights.streamed import StreamedWeights

_ABORTED = 2
_NO_ROOM = 1


@dataclass(frozen=True, slots=True)
class ContextShape:
    """What a context is made for. Lengths in tokens."""

    context_length: int  # cells of the KV cache, shared by all sequences
    micro_batch: int
    kv_type: KVType
    sequences: int
    threads: int
    threads_prefill: int
    draft_tokens: int = 0  # that may be computed along with the one that was chosen

    @property
    def rows(self) -> int:
        """Of logits, that one computation may give."""
        return max(self.sequences, 1 + self.draft_tokens)


class AbortFlag:
    """Stops a running computation from any thread, without Python in the computing threads.

    llama.cpp asks its abort callback after every operation of the graph. The callback here is
    the C library's own `strlen`, looking at our two bytes: b"\\0" has length 0, which is "go on";
    b"\\1" has length 1, which is "abort". No lock, no interpreter, and set with one store.
    """

    def __init__(self) -> None:
        libc = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
        self.function = ctypes.cast(libc.strlen, ctypes.c_void_p).value or 0
        self._bytes = ctypes.create_string_buffer(2)
        self.address = ctypes.addressof(self._bytes)
        self.raised = False  # from `set` to `clear`: cheaper to ask than the bytes

    def set(self) -> None:
        """Make the running and every later computation end at once."""
        self.raised = True
        self._bytes[0] = b"\1"

    def clear(self) -> None:
        """Allow computing again."""
        self._bytes[0] = b"\0"
        self.raised = False


class AbortedError(Exception):
    """A computation was ended by the flag; the cells it had begun are removed again."""


class Row(NamedTuple):
    """A token for one of several sequences; `wanted`: its logits will be sampled."""

    token: int
    position: int
    sequence: int
    wanted: bool


def plain_params(api: Any, context_length: int, batch: int) -> Any:
    """What every context of ours has: one sequence, all on the processor, attention as it suits."""
    params = api.llama_context_default_params()
    params.n_ctx = context_length
    params.n_batch = params.n_ubatch = batch
    params.n_seq_max = 1
    params.flash_attn_type = api.LLAMA_FLASH_ATTN_TYPE_AUTO
    params.no_perf = True
    params.offload_kqv = params.op_offload = False
    return params


class LlamaContext:
    """Owns a `llama_context` and knows which tokens are in its cells. For one thread."""

    def __init__(
        self,
        library: Library,
        model: LlamaModel,
        shape: ContextShape,
        weights: StreamedWeights | None = None,
        memory: ContextMemory | None = None,
    ) -> None:
        """Allocate the cache and the buffers, in `memory` if there is one.

        Raises ModelLoadFailed when that fails, StreamingUnavailable.
        """
        self._api = library.api
        self._weights, self._made_in = weights, memory  # ggml frees what is in it at `close`
        self._library = library
        self.shape = shape
        self.batch_limit = shape.micro_batch  # tokens of a prompt at once; any thread may lower it
        self.abort = AbortFlag()
        with memory.catching() if memory is not None else nullcontext():
            self.pointer: Any = self._api.llama_init_from_model(model.pointer, self._params())
        if not self.pointer:
            detail = library.log.last_error() or "the context could not be made"
            raise ModelLoadFailed(path="", detail=detail)
        if weights is not None:
            weights.on_failure = self.abort.set
            weights.settle(lambda: self.abort.raised)
        self.memory = self._api.llama_get_memory(self.pointer)
        self.cells: list[int] = []  # the tokens of sequence 0, where it is the only one
        self._others = 0  # cells of sequences that `compute_rows` filled
        self._tokens = (self._api.llama_token * shape.micro_batch)()
        self._batch = self._api.llama_batch_get_one(self._tokens, shape.micro_batch)
        self.one = (self._api.llama_token * 1)()
        self._batch_of_one = self._api.llama_batch_get_one(self.one, 1)
        self._rows = self._api.llama_batch_init(max(shape.micro_batch, shape.rows), 0, 1)

    def _params(self) -> Any:
        api, shape = self._api, self.shape
        params = plain_params(api, shape.context_length, shape.micro_batch)
        params.n_seq_max = shape.sequences
        params.kv_unified = True
        # Logits are wanted for the last token of a sequence, and for drafts: without this bound
        # their buffer is micro-batch x vocabulary, 148 MiB at 256 x 151,936.
        params.n_outputs_max = shape.rows
        params.n_threads, params.n_threads_batch = shape.threads, shape.threads_prefill
        params.type_k = params.type_v = {
            KVType.F16: api.GGML_TYPE_F16,
            KVType.Q8_0: api.GGML_TYPE_Q8_0,
            KVType.Q4_0: api.GGML_TYPE_Q4_0,
        }[shape.kv_type]
        params.abort_callback = ctypes.cast(self.abort.function, api.ggml_abort_callback)
        params.abort_callback_data = self.abort.address
        if self._weights is not None:
            callback = self._weights.eval_callback
            params.cb_eval = ctypes.cast(callback, api.ggml_backend_sched_eval_callback)
            params.cb_eval_user_data = self._weights.eval_user_data
        return params

    def close(self) -> None:
        """Free the cache and the buffers."""
        if self.pointer is not None:
            self._api.llama_batch_free(self._rows)
            self._api.llama_free(self.pointer)
            self.pointer = None

    @property
    def native_batch_of_one(self) -> Batch:
        """What `compute_one` computes: the token in `one`."""
        if ctypes.sizeof(Batch) != ctypes.sizeof(self._batch_of_one):
            raise EngineStartFailed(detail="llama.cpp's batch is laid out in another way")
        return Batch.from_buffer_copy(self._batch_of_one)

    @property
    def used(self) -> int:
        """Cells in use."""
        return len(self.cells) + self._others

    @property
    def most_tokens(self) -> int:
        """How many tokens a computation may take: the micro-batch, or fewer for want of memory."""
        limit = self._weights.tokens_at_once if self._weights is not None else 0
        return min(self.batch_limit, limit or self.batch_limit)

    def set_threads(self, threads: int, threads_prefill: int) -> None:
        """In force with the next token."""
        self._api.llama_set_n_threads(self.pointer, threads, threads_prefill)

    def keep_prefix(self, prompt: Sequence[int]) -> int:
        """Forget all cells that do not begin `prompt`; how many of its tokens need no computing.

        At least one token stays to be computed: the logits after it are what is wanted.
        """
        most = min(len(self.cells), len(prompt) - 1)
        same = next((i for i in range(most) if self.cells[i] != prompt[i]), most)
        return self.truncate(same)

    def truncate(self, length: int) -> int:
        """Keep the first `length` cells; fewer where the model's memory cannot be cut there."""
        if not self._api.llama_memory_seq_rm(self.memory, 0, length, -1):
            self.clear()
            return 0
        del self.cells[length:]
        return length

    def compute(self, tokens: Sequence[int]) -> None:
        """Append up to `most_tokens`. Raises AbortedError, EngineFailed."""
        count = len(tokens)
        self._tokens[:count] = tokens
        self._batch.n_tokens = count
        self.check(self._api.llama_decode(self.pointer, self._batch))
        self.cells += tokens

    def compute_one(self, token: int) -> None:
        """`compute` for a single token, without building anything."""
        self.one[0] = token
        status = self._api.llama_decode(self.pointer, self._batch_of_one)
        if status:
            self.check(status)
        self.cells.append(token)

    def compute_all(self, tokens: Sequence[int]) -> None:
        """`compute` for up to `shape.rows` tokens, with logits behind each of them."""
        first, batch = len(self.cells), self._rows
        for i, token in enumerate(tokens):
            self._set_row(i, Row(token, first + i, 0, True))
        batch.n_tokens = len(tokens)
        self.check(self._api.llama_decode(self.pointer, batch))
        self.cells += tokens

    def compute_rows(self, rows: Sequence[Row]) -> None:
        """Up to `most_tokens` of several sequences at once, while `cells` is empty."""
        batch = self._rows
        batch.n_tokens = len(rows)
        for i, row in enumerate(rows):
            self._set_row(i, row)
        self.check(self._api.llama_decode(self.pointer, batch))
        self._others += len(rows)

    def _set_row(self, at: int, row: Row) -> None:
        batch = self._rows
        batch.token[at], batch.pos[at], batch.logits[at] = row.token, row.position, row.wanted
        batch.n_seq_id[at], batch.seq_id[at][0] = 1, row.sequence

    def drop_sequence(self, sequence: int, length: int) -> None:
        """Free the `length` cells of one of several sequences."""
        self._api.llama_memory_seq_rm(self.memory, sequence, -1, -1)
        self._others -= length

    def clear(self) -> None:
        """Forget everything, of all sequences."""
        self._api.llama_memory_clear(self.memory, False)
        self.cells.clear()
        self._others = 0

    def check(self, status: int) -> None:
        """After a computation, of llama_decode. Raises AbortedError, EngineFailed."""
        if status == 0:
            return
        failure = self._weights.broken_off() if self._weights is not None else None
        if not self._others:
            self.truncate(len(self.cells))  # what was begun; several sequences are cleared later
        if failure is not None:
            raise EngineFailed(detail=str(failure)) from failure
        if status == _ABORTED:
            raise AbortedError
        detail = "no room in the context" if status == _NO_ROOM else self._library.log.last_error()
        raise EngineFailed(detail=detail or f"llama_decode answered {status}")
