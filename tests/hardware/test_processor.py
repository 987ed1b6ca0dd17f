import os
import subprocess
import sys

import psutil
import pytest

from deepseek_r1 import hardware
from deepseek_r1.core.errors import ProcessorTooOld
from deepseek_r1.hardware import processor as module
from deepseek_r1.hardware.linux import CpuInfo


def test_this_processor_is_consistent():
    found = hardware.cpu()
    assert found.name
    assert 1 <= found.performance_cores <= found.physical_cores <= found.logical_cores
    assert 1 <= found.usable_performance_cores <= found.usable_cores <= found.physical_cores
    assert found.features == tuple(sorted(found.features))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="affinity is Linux's")
def test_a_process_bound_to_one_core_uses_one_thread():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from deepseek_r1 import hardware\n"
        "print(hardware.cpu().threads, hardware.cpu().threads_prefill)"
    )
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    out = subprocess.run([sys.executable, "-c", code], env=path, capture_output=True, check=True)
    assert out.stdout.split() == [b"1", b"1"]


@pytest.fixture
def processor(monkeypatch):
    """Makes this machine one with these features."""

    def make(*features: str, machine: str = "x86_64") -> None:
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.setattr(module.platform, "machine", lambda: machine)
        monkeypatch.setattr(module.linux, "read_cpuinfo", lambda: CpuInfo("any", features))

    return make


def test_without_sse4_2_the_application_is_refused_with_what_is_missing(processor):
    processor("sse", "sse2", "ssse3", "sse4_1")
    with pytest.raises(ProcessorTooOld, match=r"too old.*SSE4\.2.*newer computer"):
        module.require_usable_processor()


def refused() -> bool:
    try:
        module.require_usable_processor()
    except ProcessorTooOld:
        return True
    return False


@pytest.mark.parametrize(
    ("features", "machine"), [(("sse4_2",), "x86_64"), (("asimd",), "aarch64"), ((), "x86_64")]
)
def test_a_processor_with_it_or_of_another_kind_or_unknown_is_accepted(
    processor, features, machine
):
    processor(*features, machine=machine)
    assert not refused()


def test_the_check_itself_needs_neither_qt_nor_numpy():
    code = (
        "import sys; from deepseek_r1.hardware import processor;"
        " processor.require_usable_processor();"
        " sys.exit(any(name in sys.modules for name in ('numpy', 'PySide6')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_system_without_its_folder_of_batteries_has_none(monkeypatch):
    def missing() -> None:
        raise FileNotFoundError("/sys/class/power_supply")

    monkeypatch.setattr(psutil, "sensors_battery", missing, raising=False)
    assert module.battery() is None
    assert not module.battery_is_low()
