"""Each function of llama.cpp that the application calls is exported by one of its libraries."""

import ctypes
import re
from pathlib import Path

import pytest

import deepseek_r1
from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.weights.ggml.tensor_layout import FUNCTIONS

pytestmark = pytest.mark.integration
_SOURCES = Path(deepseek_r1.__file__).parent.rglob("*.py")
_USED = re.compile(r"\bfunctions\.((?:ggml|llama|quantize)_\w+)")
NAMES = {name for source in _SOURCES for name in _USED.findall(source.read_text("utf-8"))}
NAMES |= {f"ggml_{name}" for name in FUNCTIONS}


def test_the_functions_are_found_in_the_source() -> None:
    assert {"ggml_quantize_chunk", "ggml_custom_4d", "llama_version"} <= NAMES
    assert len(NAMES) > 30


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_function_is_exported(name: str) -> None:
    assert ctypes.cast(getattr(library().functions, name), ctypes.c_void_p).value


def test_a_function_that_no_library_exports_is_an_error() -> None:
    with pytest.raises(AttributeError, match="ggml_of_tomorrow"):
        _ = library().functions.ggml_of_tomorrow
