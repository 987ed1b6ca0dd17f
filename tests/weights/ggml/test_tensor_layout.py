"""ggml's tensors and its buffers: the layout is discovered, and buffers lie in memory of ours."""

import ctypes
import threading

import pytest

from deepseek_r1.core.errors import StreamingUnavailable
from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.weights.ggml import tensor_layout
from deepseek_r1.weights.ggml.buffer_type import BufferInterceptor
from deepseek_r1.weights.ggml.tensor_layout import Ggml, typed

pytestmark = pytest.mark.integration


def test_fields_of_a_tensor_are_found() -> None:
    fields = Ggml(library().functions).fields
    offsets = [fields.extent, fields.strides, fields.sources, fields.viewed, fields.data]
    assert len(set(offsets)) == len(offsets)
    assert all(offset % tensor_layout.WORD == 0 for offset in offsets)


def test_an_unexpected_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_layout, "_TENSOR_SIZE", 8)  # as if the fields were elsewhere
    with pytest.raises(StreamingUnavailable, match="another way"):
        Ggml(library().functions)


MIB = 1 << 20


class CpuBufferType:
    """ggml's cpu_type type, as llama.cpp asks it for memory."""

    def __init__(self) -> None:
        ggml, word = library().functions, ctypes.c_size_t
        self.type = typed(ggml.ggml_backend_cpu_buffer_type, word)()
        self.buffer = typed(ggml.ggml_backend_buft_alloc_buffer, word, word, word)
        self.base = typed(ggml.ggml_backend_buffer_get_base, word, word)
        self.clear = typed(ggml.ggml_backend_buffer_clear, None, word, ctypes.c_uint8)
        self.free = typed(ggml.ggml_backend_buffer_free, None, word)


def test_only_buffers_of_the_calling_thread_are_intercepted() -> None:
    cpu_type, interceptor = CpuBufferType(), BufferInterceptor(Ggml(library().functions), MIB)
    others: list[int] = []

    def other() -> None:
        others.append(cpu_type.buffer(cpu_type.type, MIB))

    with interceptor.intercept():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        small = cpu_type.buffer(cpu_type.type, 4096)
        ours = cpu_type.buffer(cpu_type.type, MIB)
    later = cpu_type.buffer(cpu_type.type, MIB)
    intercepted = interceptor.buffers(0)
    assert [each.region.address for each in intercepted] == [cpu_type.base(ours)]
    intercepted[0].region.bytes[:3] = b"abc"
    cpu_type.clear(ours, 0)
    assert bytes(intercepted[0].region.bytes[:3]) == bytes(3)
    for buffer in (small, ours, later, *others):
        cpu_type.free(buffer)
    assert interceptor.buffers(0) == []
