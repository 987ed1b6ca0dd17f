"""The layout of ggml's tensors is discovered, and an unexpected one refused."""

from __future__ import annotations

import pytest

from deepseek_r1.core.errors import StreamingUnavailable
from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.weights.ggml import tensor_layout
from deepseek_r1.weights.ggml.tensor_layout import Ggml

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
