from __future__ import annotations

import os
import sys

import pytest

from deepseek_r1.core.measured_file import measured_dir
from deepseek_r1.inference import process_overhead, process_share
from deepseek_r1.memory import estimate
from deepseek_r1.memory.estimate import planned_share
from deepseek_r1.memory.meter import process_mib
from deepseek_r1.memory.plan import ENGINE_RUNTIME_MIB, RENDERER_MIB, ProcessOverhead


def test_an_engine_in_its_own_process_has_the_planned_share():
    assert process_share(170.0).window_mib == 170.0
    if sys.platform == "linux":
        assert process_share(170.0) == ProcessOverhead(ENGINE_RUNTIME_MIB, 170.0)
        assert process_share(0.0) == ProcessOverhead()


@pytest.fixture
def measured_here(monkeypatch):
    """As on a system where the plan's constant was not measured."""
    monkeypatch.setattr(estimate, "constant_applies", False)
    process_overhead._engine_runtime_mib.cache_clear()
    yield
    process_overhead._engine_runtime_mib.cache_clear()


@pytest.mark.integration
@pytest.mark.usefixtures("measured_here")
def test_where_the_constant_was_not_measured_the_engines_process_is():
    own_mib = process_mib(os.getpid())
    measured = process_share(0.0).runtime_mib
    assert measured >= max(ENGINE_RUNTIME_MIB, own_mib + RENDERER_MIB)
    ballast = bytearray(64 << 20)
    assert process_share(0.0).runtime_mib == measured  # once: what comes later is the model's
    assert ballast


@pytest.mark.integration
@pytest.mark.usefixtures("measured_here")
def test_a_bill_without_the_engine_has_what_the_last_load_measured():
    assert planned_share(9.0) == ProcessOverhead(ENGINE_RUNTIME_MIB, 9.0)
    measured = process_share(0.0).runtime_mib
    assert measured > ENGINE_RUNTIME_MIB
    assert planned_share(9.0) == ProcessOverhead(measured, 9.0)
    (measured_dir() / estimate.FILE_NAME).write_bytes(b"{")
    assert planned_share(9.0) == ProcessOverhead(ENGINE_RUNTIME_MIB, 9.0)


@pytest.mark.integration
def test_the_callers_own_process_is_measured_with_all_it_holds():
    share = process_share()
    assert share.window_mib == 0
    assert ENGINE_RUNTIME_MIB < share.runtime_mib < process_mib(os.getpid()) + 400
