"""The weights of a model that is in memory lie in huge pages, where Linux has them."""

import os
import signal
import sys
from pathlib import Path

import pytest

from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.engine.llama.binding.model import LlamaModel
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.hardware.processor import packs_weights
from deepseek_r1.weights.ggml.buffer_type import BufferInterceptor
from deepseek_r1.weights.ggml.tensor_layout import Ggml
from support.patience import PATIENCE_S

_SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def offered() -> bool:
    return (
        sys.platform == "linux"
        and _SETTING.exists()
        and "[never]" not in _SETTING.read_text(encoding="ascii")
    )


pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not offered(), reason="the system offers no huge pages"),
]


def advised_mib() -> float:
    """The MiB of this process for which huge pages were asked."""
    total_kib = size_kib = 0
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        if line.startswith("Size:"):
            size_kib = int(line.split()[1])
        elif line.startswith("VmFlags:") and "hg" in line.split():
            total_kib += size_kib
    return total_kib / 1024


@pytest.mark.skipif(packs_weights(), reason="AMX has its own buffers, in small pages")
def test_the_system_is_asked_for_huge_pages_as_long_as_the_model_is_there(starter: Path) -> None:
    before, weights_mib = advised_mib(), starter.stat().st_size / 2**20
    model = LlamaModel(library(), read_header(starter).parts, lambda _fraction: True)
    advised = advised_mib() - before
    model.close()
    assert advised > 0.9 * weights_mib
    assert advised_mib() - before < 1.0


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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_process_that_is_forked_during_a_load_can_load_a_model(starter: Path) -> None:
    buffers = BufferInterceptor(Ggml(library().functions), huge_pages=True)
    with buffers.intercept():
        child = os.fork()
        if child == 0:
            signal.alarm(round(PATIENCE_S))  # in place of waiting for the other one for ever
            LlamaModel(library(), read_header(starter).parts, lambda _fraction: True)
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
