"""The names of architectures, types and tokenizers against the library that is to know them.

At another version of llama.cpp these fail: `llama-arch.cpp` and the list before "unknown
pre-tokenizer type" in `llama-vocab.cpp` are to be read again.
"""

import ctypes
from importlib.metadata import version
from pathlib import Path

import llama_cpp
import pytest

from deepseek_r1.formats.ggml_types import TENSOR_TYPES
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.formats.llama_names import CHAT, EMBEDDING, NOT_CHAT, WORD_SPLITS
from support.command import run_here
from support.gguf_files import tiny_llama, tiny_qwen2
from support.hostile import LATER, Hostile
from support.raw_gguf import STRING, RawGguf

pytestmark = pytest.mark.integration


def test_architectures_and_types_are_those_of_the_library() -> None:
    assert max(TENSOR_TYPES) + 1 == llama_cpp.GGML_TYPE_COUNT
    folder = Path(llama_cpp.__file__).parent / "lib"
    library = ctypes.CDLL(str(next(p for p in folder.iterdir() if p.stem.endswith("llama"))))
    name = getattr(library, "_Z13llm_arch_name8llm_arch", None)
    if name is None:
        pytest.skip("this compiler gives the function another name")
    name.restype = ctypes.c_char_p
    known = {name(number).decode() for number in range(300)}
    assert known - {"unknown", "(unknown)"} == CHAT | EMBEDDING | NOT_CHAT
    assert not CHAT & NOT_CHAT
    assert not EMBEDDING & (CHAT | NOT_CHAT)


def test_tokenizers_are_those_of_the_library(tmp_path: Path) -> None:
    sound = RawGguf.parse(tiny_qwen2(tmp_path / "sound.gguf").read_bytes())
    settings = llama_cpp.llama_model_default_params()
    settings.vocab_only = True

    def opens(split: str) -> bool:
        path = sound.set("tokenizer.ggml.pre", STRING, split).write(tmp_path / "model.gguf")
        model = llama_cpp.llama_model_load_from_file(bytes(path), settings)
        if model:
            llama_cpp.llama_model_free(model)
        return bool(model)

    assert not opens("gpt-9")
    assert {split for split in WORD_SPLITS if not opens(split)} == set()
    assert version("llama-cpp-python") == "0.3.36", "it may know more"


def test_block_sizes_are_those_of_the_engine() -> None:
    folder = Path(llama_cpp.__file__).parent / "lib"
    ggml = ctypes.CDLL(str(next(each for each in folder.iterdir() if "ggml-base" in each.name)))
    ggml.ggml_type_size.restype = ctypes.c_size_t
    ggml.ggml_blck_size.restype = ctypes.c_int64
    for number, kind in TENSOR_TYPES.items():
        found = ggml.ggml_blck_size(number), ggml.ggml_type_size(number)
        assert (kind.block, kind.block_bytes) == found, kind.name


@pytest.mark.slow
@pytest.mark.parametrize("case", LATER[:-2], ids=lambda case: case.name)
def test_a_file_of_a_later_kind_is_refused_in_one_way(case: Hostile, tmp_path: Path) -> None:
    path = tmp_path / "later.gguf"
    path.write_bytes(case.build(RawGguf.parse(tiny_llama(path).read_bytes())))
    with pytest.raises(Exception, match=r"later\.gguf") as refused:
        read_header(path)
    for command in (["plan", path], ["generate", "hi", "-m", path], ["serve", "-m", path]):
        done = run_here(*command)
        assert done.returncode == 3
        assert str(refused.value) in " ".join(done.stderr.split())
