"""The prefetch ring under the compiler's sanitizers, which detect races and invalid accesses."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NATIVE = HERE.parents[1] / "app" / "deepseek_r1" / "native"
ROUNDS = int(os.environ.get("R1DESK_STRESS_ROUNDS", "6"))

pytestmark = pytest.mark.skipif(shutil.which("c++") is None, reason="compiles")


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", ["thread", "address,undefined"])
def test_every_byte_is_right_and_no_sanitizer_complains(tmp_path: Path, sanitizer: str) -> None:
    compiler = ["c++", "-std=c++17", "-O1", "-g", "-pthread", f"-fsanitize={sanitizer}"]
    empty = tmp_path / "empty.cpp"
    empty.write_text("int main() {}\n", encoding="ascii")
    able = [*compiler, "-o", tmp_path / "empty", empty]
    if subprocess.run(able, capture_output=True, check=False).returncode:
        pytest.skip("this compiler has no such sanitizer")
    program = tmp_path / "stress"
    sources = [HERE / "prefetch_ring_stress.cpp", NATIVE / "prefetch_ring.cpp"]
    command = [*compiler, "-fno-sanitize-recover=all", f"-I{NATIVE}", "-o", program, *sources]
    subprocess.run(command, check=True)
    counts = [0, 0, 0]
    for seed in range(1, ROUNDS + 1):
        done = subprocess.run(
            [program, str(seed)], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        counts = [a + int(b) for a, b in zip(counts, re.findall(r"\d+", done.stdout), strict=True)]
    served, failures, reads = counts
    assert served > 300 * ROUNDS
    assert failures > ROUNDS
    assert reads > served
