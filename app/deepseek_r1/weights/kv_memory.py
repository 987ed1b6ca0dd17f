"""The memory of a context's KV cache and compute buffers, given back where nothing uses it.

llama.cpp allocates all cells of a context at once and fills them with zeros, so they are resident
however short the conversation is; and its compute buffer stays as large as the largest batch made
it. Here both lie in memory of our own. Pages of cells become resident as tokens are computed and
are released again with them; the compute buffer is released between computations.
"""

from deepseek_r1.hardware.storage import page_up
from deepseek_r1.weights.ggml.buffer_type import BufferInterceptor, InterceptedBuffer
from deepseek_r1.weights.ggml.tensor_layout import Ggml

_USAGE_ANY, _USAGE_COMPUTE = 0, 2  # ggml_backend_buffer_usage: ggml-backend.h


class KVMemory:
    """The buffers of one context, whose cells are filled from the first on.

    For the computing thread.
    """

    def __init__(self, ggml: Ggml, nbytes: int, cells: int) -> None:
        """`nbytes` is the size of the buffer that llama.cpp will allocate for `cells` cells.

        Raises StreamingUnavailable for an unexpected ggml.
        """
        self._interceptor, self.cells = BufferInterceptor(ggml, nbytes), cells
        self.intercept = self._interceptor.intercept  # the buffers of the context made inside
        self._kv_buffer: InterceptedBuffer | None = None
        self._cell_bytes: dict[int, int] = {}  # by the offset of a tensor's first cell

    def find_cells(self) -> None:
        """Find the cells in the KV buffer. Requires that each tensor holds its cells in a row."""
        for buffer in self._interceptor.buffers(_USAGE_ANY):
            sizes = buffer.tensors
            if sizes and all(nbytes % self.cells == 0 for nbytes in sizes.values()):
                self._kv_buffer = buffer
                self._cell_bytes = {
                    offset: nbytes // self.cells for offset, nbytes in sizes.items()
                }

    def bytes_from(self, first: int) -> int:
        """Bytes of all cells from number `first` on, in whole pages."""
        cell_bytes = self._cell_bytes.values()
        whole = sum(page_up(self.cells * nbytes) for nbytes in cell_bytes)
        return whole - sum(page_up(first * nbytes) for nbytes in cell_bytes)

    def release_cells(self, first: int) -> None:
        """Release the memory of all cells from number `first` on."""
        if self._kv_buffer is not None:
            for start, nbytes in self._cell_bytes.items():
                self._kv_buffer.release(start + first * nbytes, start + self.cells * nbytes)

    @property
    def scratch_bytes(self) -> int:
        """Size of the compute buffers, which suits the largest batch."""
        buffers = self._interceptor.buffers(_USAGE_COMPUTE)
        return sum(each.region.nbytes for each in buffers)

    def release_scratch(self) -> None:
        """Release the compute buffers. Only between two computations."""
        for each in self._interceptor.buffers(_USAGE_COMPUTE):
            each.release(0, each.region.nbytes)
