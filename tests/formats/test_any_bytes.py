"""Whatever a file holds, the header reader answers with one of our errors."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_r1.core.errors import ModelRefused
from deepseek_r1.formats.gguf import read_header
from support.gguf_files import tiny_qwen2

HEAD = b"GGUF" + struct.pack("<IQQ", 3, 1, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bytes")


@pytest.fixture(scope="module")
def sound(folder: Path) -> bytes:
    return tiny_qwen2(folder / "sound.gguf").read_bytes()


@given(start=st.sampled_from([b"", b"GGUF", HEAD]), rest=st.binary(max_size=300))
def test_random_bytes_are_refused(folder: Path, start: bytes, rest: bytes) -> None:
    path = folder / "random.gguf"
    path.write_bytes(start + rest)
    with pytest.raises(ModelRefused):
        read_header(path)


@given(data=st.data())
def test_a_spoilt_header_is_refused_or_still_makes_sense(folder, sound, data):
    at = data.draw(st.integers(0, 8000))
    path = folder / "spoilt.gguf"
    path.write_bytes(sound[:at] + data.draw(st.binary(min_size=1, max_size=16)) + sound[at + 8 :])
    try:
        header = read_header(path)
    except ModelRefused:
        return
    assert header.blocks == 2
    assert header.heads_kv <= header.heads
    assert sum(tensor.nbytes for tensor in header.tensors) <= header.file_bytes
