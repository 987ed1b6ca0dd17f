import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from deepseek_r1.hardware import linux, read_speed
from deepseek_r1.hardware.read_speed import buffer_bytes, memory_read_mib_s


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(bytes(range(256)) * (40 << 12))  # 40 MiB
    return path


@pytest.fixture(autouse=True)
def nothing_measured(monkeypatch):
    monkeypatch.setattr(read_speed, "_measured", {})


@pytest.fixture
def in_a_moment(monkeypatch):
    briefly = partial(read_speed.measure_mib_s, seconds=0.2)
    monkeypatch.setattr(read_speed, "measure_mib_s", briefly)


@pytest.mark.slow
@pytest.mark.quiet
@pytest.mark.parametrize("direct", [True, False])
def test_a_drive_has_a_speed_and_is_asked_for_a_moment(file, direct, monkeypatch):
    if not direct:
        monkeypatch.setattr(read_speed, "_direct", lambda _path: None)
    began = time.monotonic()
    speed = read_speed.measure_mib_s(file)
    assert 1 < speed < 100_000
    assert time.monotonic() - began < 5  # a busy machine; 1.5 s by itself


def test_a_file_that_is_not_whole_pages_is_read_to_its_end(tmp_path):
    path = tmp_path / "short.bin"
    path.write_bytes(b"x" * 5000)
    assert read_speed.measure_mib_s(path) > 0


def test_one_drive_is_measured_once(file, in_a_moment, monkeypatch):
    first = read_speed.read_speed_mib_s(file)
    monkeypatch.setattr(read_speed, "measure_mib_s", lambda *_, **__: pytest.fail("measured twice"))
    other = file.with_name("other.bin")
    other.write_bytes(b"x" * 100)
    assert read_speed.read_speed_mib_s(other) == first


def test_each_size_of_a_read_has_its_speed(file, in_a_moment):
    for size in (8192, 65536, 1 << 20):
        assert read_speed.read_speed_mib_s(file, size) > 0
    assert len(read_speed._measured) == 3


def test_what_cannot_be_read_has_no_speed(tmp_path):
    assert read_speed.read_speed_mib_s(tmp_path / "nothing") == 0
    (tmp_path / "empty").touch()
    assert read_speed.read_speed_mib_s(tmp_path / "empty") == 0


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_a_measurement_takes_little_memory(tmp_path):
    """It runs beside a loaded model, whose budget knows nothing of it."""
    path = tmp_path / "file"
    path.write_bytes(bytes(64 << 20))
    code = (
        "import sys; from pathlib import Path\n"
        "from deepseek_r1.hardware.read_speed import measure_mib_s\n"
        "from deepseek_r1.memory.meter import peak_mib\n"
        "measure_mib_s(Path(sys.argv[1]), seconds=0.2, memory_mib=1); before = peak_mib()\n"
        "measure_mib_s(Path(sys.argv[1]), seconds=0.2); print(peak_mib() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path],
        env=os.environ | {"PYTHONPATH": str(Path(read_speed.__file__).parents[2])},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert 0 <= float(done.stdout) < 14


@pytest.mark.slow
@pytest.mark.quiet
def test_memory_has_a_speed_that_is_found_in_a_moment():
    began = time.monotonic()
    speed = memory_read_mib_s(2, seconds=0.2)
    assert 500 < speed < 2_000_000
    assert time.monotonic() - began < 5  # a busy machine; 0.4 s by itself


@pytest.mark.parametrize(
    ("cache_mib", "buffer_mib"), [(0, 128), (2, 32), (8, 32), (24, 48), (64, 128), (300, 128)]
)
def test_twice_the_largest_cache_is_read(monkeypatch, cache_mib, buffer_mib):
    monkeypatch.setattr(read_speed.sys, "platform", "linux")
    monkeypatch.setattr(linux, "largest_cache_bytes", lambda: cache_mib << 20)
    assert buffer_bytes() == buffer_mib << 20
