"""A processor that cannot run Qt or numpy gets a sentence before they are imported."""

import subprocess
import sys

import pytest

from deepseek_r1.core.errors import ProcessorTooOld
from deepseek_r1.hardware import baseline
from deepseek_r1.hardware.linux import CpuInfo


@pytest.fixture
def processor(monkeypatch):
    """Makes this machine one with these features."""

    def make(*features: str, machine: str = "x86_64") -> None:
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.setattr(baseline.platform, "machine", lambda: machine)
        monkeypatch.setattr(baseline.linux, "read_cpuinfo", lambda: CpuInfo("any", features))

    return make


def test_without_sse4_2_the_application_is_refused_with_what_is_missing(processor):
    processor("sse", "sse2", "ssse3", "sse4_1")
    with pytest.raises(ProcessorTooOld, match=r"too old.*SSE4\.2.*newer computer"):
        baseline.require_usable_processor()


def refused() -> bool:
    try:
        baseline.require_usable_processor()
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


def test_this_machine_is_new_enough():
    assert not refused()


def test_the_check_itself_needs_neither_qt_nor_numpy():
    code = (
        "import sys; from deepseek_r1.hardware import baseline;"
        " baseline.require_usable_processor();"
        " sys.exit(any(name in sys.modules for name in ('numpy', 'PySide6')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
