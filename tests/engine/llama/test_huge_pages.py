"""The weights of a model that is in memory lie in huge pages, where Linux has them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from deepseek_r1.engine.llama.library import library
from deepseek_r1.engine.llama.model import LlamaModel
from deepseek_r1.formats.gguf import read_header

_SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def offered() -> bool:
    return (
        sys.platform == "linux"
        and _SETTING.exists()
        and "[never]" not in _SETTING.read_text(encoding="ascii")
    )


pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(not offered(), reason="the system offers no huge pages"),
]


def huge_mib() -> float:
    text = Path("/proc/self/smaps_rollup").read_text(encoding="ascii")
    line = next(each for each in text.splitlines() if each.startswith("AnonHugePages:"))
    return int(line.split()[1]) / 1024


def test_weights_take_huge_pages_and_give_them_back(starter: Path) -> None:
    before, weights_mib = huge_mib(), starter.stat().st_size / 2**20
    model = LlamaModel(library(), read_header(starter).parts, lambda _fraction: True)
    taken = huge_mib() - before
    model.close()
    assert taken > 0.5 * weights_mib  # the system has none for memory that is in pieces
    assert huge_mib() - before < 0.1 * weights_mib


def test_a_model_loads_while_another_one_is_being_read(starter: Path) -> None:
    """Only the allocation is intercepted, which must not make other loads wait for the reading."""
    inner: list[LlamaModel] = []

    def load_another(_fraction: float) -> bool:
        if not inner:
            inner.append(LlamaModel(library(), read_header(starter).parts, lambda _: True))
        return True

    outer = LlamaModel(library(), read_header(starter).parts, load_another)
    assert inner[0].tokenize("word", special=False) == outer.tokenize("word", special=False)
    inner[0].close()
    outer.close()
