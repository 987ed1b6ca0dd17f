"""A model in the caller's own process gives memory back where that was asked for."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

import pytest

from deepseek_r1 import CPUInference
from deepseek_r1.hardware.pressure import MemoryReading
from deepseek_r1.inference import model as model_module
from deepseek_r1.inference.keeper import MemoryKeeper

pytestmark = pytest.mark.native


def keepers() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "memory-keeper"]


def test_while_the_machine_is_short_a_model_reads_with_a_smaller_batch(
    starter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = partial(MemoryKeeper, read=lambda: MemoryReading(8192, 50))
    monkeypatch.setattr(model_module, "MemoryKeeper", short)
    heard = threading.Event()
    with CPUInference(
        starter, context_length=256, window_mib=0.0, give_back=True, on_memory=heard.set
    ) as model:
        assert heard.wait(10)
        assert model.memory.short
        assert model.memory.batch < 256
        (thread,) = keepers()
    thread.join(10)
    assert not thread.is_alive()


def test_without_being_asked_nobody_watches(starter: Path) -> None:
    with CPUInference(starter, context_length=256, window_mib=0.0):
        assert keepers() == []
