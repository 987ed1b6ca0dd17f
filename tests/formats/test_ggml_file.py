"""Old model files are read strictly: what the engine would take on trust is refused here."""

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepseek_r1.core.errors import (
    LegacyModelFile,
    ModelFileTruncated,
    ModelRefused,
)
from deepseek_r1.formats.gguf import read_header
from support.ggml_files import FAMILIES, gpt2_weights, tiny_gpt2, tiny_llama_ggjt, write_gpt2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ggml")


@pytest.fixture(scope="module")
def sound(folder: Path) -> bytes:
    return tiny_gpt2(folder / "sound.bin").read_bytes()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_header_has_the_models_sizes(family: str, tmp_path: Path) -> None:
    header = read_header(FAMILIES[family](tmp_path / "model.bin"))
    assert header.architecture == family
    assert (header.blocks, header.heads, header.quantisation) == (2, 4, "F32")
    assert header.vocabulary in (259, 280)
    assert header.legacy
    assert header.template is None
    assert header.parameters == sum(t.elements for t in header.tensors)
    last = header.tensors[-1]
    assert last.offset + last.nbytes == header.file_bytes


@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_cut_anywhere_is_refused(family: str, tmp_path: Path) -> None:
    path = FAMILIES[family](tmp_path / "model.bin")
    whole = path.read_bytes()
    for end in (5, 20, 60, 2000, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(ModelRefused):
            read_header(path)
    path.write_bytes(whole[:-1])
    with pytest.raises(ModelFileTruncated):
        read_header(path)


def test_tensors_that_are_not_the_familys_are_refused(folder: Path) -> None:
    """The engine would compute with whatever is in memory."""
    hole, shape = gpt2_weights(), gpt2_weights()
    del hole["model/h1/mlp/c_fc/w"]
    shape["model/h0/attn/c_attn/b"] = shape["model/h0/attn/c_attn/b"][:-1]
    for weights, heads, said in (
        (hole, 4, "c_fc"), (shape, 4, "shape"), (gpt2_weights(), 5, "families"),
    ):  # fmt: skip
        with pytest.raises(ModelRefused, match=said):
            read_header(write_gpt2(folder / "odd.bin", weights, heads=heads))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_with_a_single_head_is_refused(family: str, tmp_path: Path) -> None:
    """The engine would write beyond the buffer in which it joins the heads."""
    path = FAMILIES[family](tmp_path / "model.bin")
    raw = bytearray(path.read_bytes())
    field = {"mpt": 2, "replit": 2, "llama": 4}.get(family, 3)
    at = raw.index((4).to_bytes(4, "little"), 4 + 4 * field - 4)
    raw[at : at + 4] = (1).to_bytes(4, "little")
    if family == "llama":  # which turns whole heads
        raw[at + 8 : at + 12] = (32).to_bytes(4, "little")
    path.write_bytes(raw)
    with pytest.raises(ModelRefused):
        read_header(path)


def test_bytes_that_are_not_the_formats_are_refused_with_the_reason(folder, sound):
    norm, bias = sound.index(b"model/ln_f/g") - 16, sound.index(b"model/ln_f/b") - 16
    kind = sound.index(b"model/wte") - 12  # two numbers of the shape before the name
    for name, data, said in (
        ("more", sound + b"\1\0\0\0", None),
        ("twice", sound + sound[norm:bias], "twice"),
        ("type", sound[:kind] + struct.pack("<i", 1) + sound[kind + 4 :], "does not suit"),
        # Q4_0 as it was before the first change
        ("packed", sound[:24] + struct.pack("<i", 1002) + sound[28:], "May 2023"),
    ):
        path = folder / f"{name}.bin"
        path.write_bytes(data)
        with pytest.raises(ModelRefused, match=said):
            read_header(path)


def test_a_version_from_nowhere_is_refused(folder: Path) -> None:
    with pytest.raises(LegacyModelFile, match="version 7"):
        read_header(tiny_llama_ggjt(folder / "future.bin", version=7))


def test_gpt2_of_the_largest_size_gets_the_context_its_engine_can_compute(folder: Path) -> None:
    """1.5 billion weights' worth of copies would run over the engine's fixed buffer."""
    path = folder / "wide.bin"
    sizes = {"context": 1024, "width": 320, "blocks": 12}
    assert read_header(tiny_gpt2(path, **sizes)).context_trained == 1024
    long = {"context": 16_384, "width": 320, "blocks": 12, "vocab": 280}
    limited = read_header(tiny_gpt2(path, **long)).context_trained
    assert 8_000 < limited < 16_384


@given(data=st.data())
@settings(max_examples=150)
def test_a_spoilt_file_is_refused_or_still_makes_sense(folder, sound, data):
    at = data.draw(st.one_of(st.integers(0, 40), st.integers(0, len(sound) - 1)))
    spoilt = sound[:at] + data.draw(st.binary(min_size=1, max_size=8)) + sound[at + 4 :]
    path = folder / "spoilt.bin"
    path.write_bytes(spoilt)
    try:
        header = read_header(path)
    except ModelRefused:
        return
    assert header.blocks == 2
    assert header.embedding == 32
    assert sum(tensor.nbytes for tensor in header.tensors) <= header.file_bytes
