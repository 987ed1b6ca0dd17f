"""The table of tensor types against the library it describes."""

import ctypes
from pathlib import Path

import llama_cpp
import pytest

from deepseek_r1.formats.ggml_types import TENSOR_TYPES


@pytest.mark.integration
def test_block_sizes_are_those_of_the_engine() -> None:
    folder = Path(llama_cpp.__file__).parent / "lib"
    library = next(each for each in folder.iterdir() if "ggml-base" in each.name)
    ggml = ctypes.CDLL(str(library))
    ggml.ggml_type_size.restype = ctypes.c_size_t
    ggml.ggml_blck_size.restype = ctypes.c_int64
    for number, kind in TENSOR_TYPES.items():
        assert (kind.block, kind.block_bytes) == (
            ggml.ggml_blck_size(number),
            ggml.ggml_type_size(number),
        ), kind.name
