"""The call as it was published, with nothing changed but the import's path and the file."""

import subprocess
import sys
from pathlib import Path

import pytest

import deepseek_r1
from deepseek_r1.errors import PromptTooLong

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = """\
from deepseek_r1 import CPUInference

# 初始化推理引擎
model = CPUInference(
    model_path="{model}",
    batch_size=4,
    thread_count=8
)

# 执行推理
output = model.generate("Why is the sky blue?", max_tokens={tokens})
print(output)
"""


def test_the_published_lines_run_as_a_program(starter: Path, tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text(PUBLISHED.format(model=starter.as_posix(), tokens=16), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT / "app"), "PATH": "", "SYSTEMROOT": "C:\\Windows"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert done.stderr == ""


def test_errors_are_imported_as_the_guide_says():
    assert issubclass(PromptTooLong, deepseek_r1.errors.R1Error)
