"""The engine's signs of life."""

import mmap
import os
import sys
import time
from types import SimpleNamespace

import pytest

from deepseek_r1.hardware.storage import SystemFile
from deepseek_r1.host import heartbeat
from deepseek_r1.host.heartbeat import HeartbeatSender
from deepseek_r1.memory import meter

MIB = 1 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count reads elsewhere")
def test_bytes_that_arrive_from_a_drive_are_a_sign_of_life(tmp_path, monkeypatch):
    now = [1000.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], process_time=time.process_time)
    monkeypatch.setattr(heartbeat, "time", clock)
    path = tmp_path / "weights"
    with path.open("wb") as out:
        out.write(os.urandom(4 * MIB))
        os.fsync(out.fileno())
    sender = HeartbeatSender(lambda _beat: None)
    with sender.working():
        sender.heartbeat()
        now[0] += 5.0
        assert sender.heartbeat().idle_s == 5.0
        before = meter.disk_read_mib()
        file = SystemFile(path, direct=True)
        file.read_into(memoryview(mmap.mmap(-1, 4 * MIB)), 0)
        file.close()
        if meter.disk_read_mib() == before:
            pytest.skip("the folder for temporary files is not on a drive")
        assert sender.heartbeat().idle_s == 0.0
