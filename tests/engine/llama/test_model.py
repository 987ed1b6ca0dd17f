"""Loading a model: llama.cpp's own errors, split files, the vocabulary of R1."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepseek_r1.core.errors import ModelLoadFailed
from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.engine.llama.binding.model import LlamaModel
from deepseek_r1.formats.gguf import read_header
from support.gguf_files import tiny_qwen2
from support.raw_gguf import I32, U16, RawGguf

pytestmark = pytest.mark.integration


def test_llama_cpps_own_error_reaches_the_user(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\0" * 100)
    with pytest.raises(ModelLoadFailed) as caught:
        LlamaModel(library(), [broken], lambda _fraction: True)
    assert "no reason given" not in str(caught.value)


def test_a_model_in_several_files_is_loaded_from_the_list_given(tmp_path: Path) -> None:
    whole = tiny_qwen2(tmp_path / "whole.gguf")
    parts = split(whole, tmp_path, ["b.gguf", "a.gguf"])  # names that say nothing
    model = LlamaModel(library(), parts, lambda _fraction: True)
    try:
        assert model.vocabulary == read_header(whole).vocabulary
    finally:
        model.close()
    with pytest.raises(ModelLoadFailed):
        LlamaModel(library(), parts[:1] * 2, lambda _fraction: True)


def split(whole: Path, folder: Path, names: list[str]) -> list[Path]:
    """The tensors of `whole`, dealt out to one file for each of `names`."""
    sound = RawGguf.parse(whole.read_bytes())
    paths = []
    for number, name in enumerate(names):
        part = sound.copy()
        part.keys = part.keys if number == 0 else []
        part.tensors = part.tensors[number :: len(names)]
        part.set("split.no", U16, number).set("split.count", U16, len(names))
        part.set("split.tensors.count", I32, len(sound.tensors)).lay_out()
        paths.append(part.write(folder / name))
    return paths


def test_r1_thinks_with_its_own_tokens(r1_shaped: Path) -> None:
    model = LlamaModel(library(), [r1_shaped], lambda _fraction: True)
    try:
        (opened,) = model.tokenize("<think>", special=True)
        assert model.piece(opened) == b"<think>"
        assert model.piece(model.bos) == b""
        assert model.is_end(model.tokenize("<｜end▁of▁sentence｜>", special=True)[0])
    finally:
        model.close()
