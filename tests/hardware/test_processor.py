from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from deepseek_r1 import hardware


def test_this_processor_is_consistent():
    found = hardware.cpu()
    assert found.name
    assert 1 <= found.performance_cores <= found.physical_cores <= found.logical_cores
    assert 1 <= found.usable_performance_cores <= found.usable_cores <= found.physical_cores
    assert found.features == tuple(sorted(found.features))


def test_default_threads_fit_the_machine():
    assert 1 <= hardware.default_threads() <= hardware.default_threads_prefill()
    assert hardware.default_threads_prefill() <= (os.cpu_count() or 1)


def test_the_machine_has_memory():
    assert 0 < hardware.machine_memory_mib() <= psutil.virtual_memory().total / (1 << 20)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="affinity is Linux's")
def test_a_process_bound_to_one_core_uses_one_thread():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from deepseek_r1 import hardware\n"
        "print(hardware.default_threads(), hardware.default_threads_prefill())"
    )
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    out = subprocess.run([sys.executable, "-c", code], env=path, capture_output=True, check=True)
    assert out.stdout.split() == [b"1", b"1"]
