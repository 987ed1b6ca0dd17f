"""A small model's folder to convert, and to spoil."""

import json
import shutil
import struct
from pathlib import Path

import pytest

from deepseek_r1.convert.job import ConversionRequest, convert
from deepseek_r1.convert.precision import precision_named
from deepseek_r1.formats.container import read_container
from support.budgets import ROOMY_MIB

REFERENCE = Path(__file__).resolve().parent / "reference"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the small Qwen2 model's folder."""
    copy = tmp_path / "qwen2"
    shutil.copytree(REFERENCE / "qwen2", copy)
    return copy


@pytest.fixture
def to_gguf(tmp_path: Path):
    """Converts a source to `tmp_path/out.gguf`."""

    def run(source, precision="f32", name="out.gguf", **more):
        wish = ConversionRequest(
            source, tmp_path / name, precision_named(precision), ROOMY_MIB, threads=1, **more
        )
        return convert(wish)

    return run


def weight_bytes(path: Path, name: str) -> bytes:
    """The bytes of a weight of a GGUF file."""
    found = read_container(path)
    entry = next(each for each in found.tensors if each.name == name)
    return path.read_bytes()[entry.offset :][: entry.nbytes]


def split_header(path: Path) -> tuple[dict, bytes]:
    raw = path.read_bytes()
    end = 8 + int.from_bytes(raw[:8], "little")
    return json.loads(raw[8:end]), raw[end:]


def write_safetensors(path: Path, header: dict, data: bytes) -> None:
    raw = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + data)
