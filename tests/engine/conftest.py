"""Models for the engine's tests."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.engine.llama.binding.model import LlamaModel
from support.r1_shaped_files import TINY, write_r1_shaped
from support.real_models import r1_header


@pytest.fixture(scope="session")
def r1_shaped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small file with R1-Distill-Qwen's real vocabulary and template, and random weights."""
    path = tmp_path_factory.mktemp("r1") / "r1-tiny.gguf"
    write_r1_shaped(r1_header(), TINY, path)
    return path


@pytest.fixture(scope="module")
def starter_weights(starter: Path) -> Iterator[LlamaModel]:
    with closing(LlamaModel(library(), [starter], lambda _fraction: True)) as model:
        yield model
