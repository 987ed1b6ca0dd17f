import os
import subprocess
import sys
import time

import psutil
import pytest

from deepseek_r1.memory import meter

HOLD = "import sys; b = bytearray(b'x') * (64 << 20); print('ready', flush=True); sys.stdin.read()"


@pytest.fixture
def holder():
    """A process that holds 64 MiB until its input closes."""
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline().strip() == b"ready"
        yield process
        process.stdin.close()


def test_a_process_and_its_peak_hold_what_it_allocated(holder):
    assert 64 < meter.process_mib(holder.pid) < 128
    assert meter.peak_mib(holder.pid) >= meter.process_mib(holder.pid) - 1


def test_the_peak_stays_when_the_memory_is_gone():
    block = bytearray(b"x") * (96 << 20)
    high = meter.process_mib(os.getpid())
    del block
    assert meter.peak_mib() >= high - 1
    assert meter.process_mib(os.getpid()) < high - 90


def test_a_process_that_is_gone_uses_nothing():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert (meter.process_mib(gone.pid), meter.peak_mib(gone.pid)) == (0.0, 0.0)


@pytest.mark.slow
@pytest.mark.quiet
def test_a_busy_loop_shows_on_one_core():
    before = meter.cpu_times()
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        pass
    load = meter.cpu_times().load_since(before)
    assert len(load) == psutil.cpu_count()
    assert all(0.0 <= share <= 1.0 for share in load)
    assert sum(load) > 0.5


def test_no_load_between_snapshots_of_different_machines():
    assert meter.CpuTimes((1.0,), (2.0,)).load_since(meter.CpuTimes((1.0, 1.0), (2.0, 2.0))) == ()


def test_load_is_a_share_of_the_time_between():
    later, earlier = (
        meter.CpuTimes((3.0, 5.0), (14.0, 14.0)),
        meter.CpuTimes((1.0, 5.0), (10.0, 14.0)),
    )
    assert later.load_since(earlier) == (0.5, 0.0)


def test_unshared_memory_has_what_a_process_wrote_and_no_libraries(holder):
    assert 60 < meter.unshared_mib(holder.pid) <= meter.process_mib(holder.pid)


def test_memory_is_overestimated_where_the_system_does_not_list_pages(holder, monkeypatch):
    def refused(_process):
        raise OSError(22, "Invalid parameter")

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(psutil.Process, "memory_full_info", refused)
    assert meter.unshared_mib(holder.pid) == pytest.approx(meter.process_mib(holder.pid), abs=1)
