from __future__ import annotations

import os

import pytest

from deepseek_r1.inference import process_share
from deepseek_r1.memory.meter import process_mib
from deepseek_r1.memory.plan import ENGINE_RUNTIME_MIB, ProcessShare


def test_an_engine_of_its_own_says_what_every_plan_says():
    assert process_share(170.0) == ProcessShare(ENGINE_RUNTIME_MIB, 170.0)
    assert process_share(0.0) == ProcessShare()


@pytest.mark.native
def test_the_callers_own_process_is_measured_with_all_it_holds():
    share = process_share()
    assert share.window_mib == 0
    assert ENGINE_RUNTIME_MIB < share.runtime_mib < process_mib(os.getpid()) + 400
