"""Models for the engine's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.real_models import make_r1_shaped


@pytest.fixture(scope="session")
def r1_shaped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small file with R1-Distill-Qwen's real vocabulary and template, and random weights."""
    path = tmp_path_factory.mktemp("r1") / "r1-tiny.gguf"
    make_r1_shaped("tiny", path)
    return path
