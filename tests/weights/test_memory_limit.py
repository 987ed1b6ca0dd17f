"""A model larger than a real memory limit runs to its end inside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[3] / "shared" / "tools"
LIMIT_MB = 800
BUDGET_MIB = 760  # 797 MB
CODE = """
import json, sys
from deepseek_r1 import CPUInference
from deepseek_r1.core.settings import SamplingSettings
with CPUInference(sys.argv[1], memory_budget=int(sys.argv[2]), context_length=512,
                  swap_enabled=True) as model:
    sampling = SamplingSettings(temperature=0.0, max_tokens=6)
    answer = model.complete("Tell me about the sea. " * 20, sampling=sampling)
    print(json.dumps({"tokens": answer.stats.completion_tokens,
                      "streamed_mib": model.weights_stats.streamed_mib}))
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of R1-Distill-Qwen-1.5B's shapes: 1,117 MB."""
    ready = os.environ.get("R1_SHAPED_1_5B", "")
    if ready:
        return Path(ready)
    tool = TOOLS / "make_r1_shaped_gguf.py"
    if not tool.is_file():
        pytest.skip("the tool that makes R1-shaped files is not beside the checkout")
    path = tmp_path_factory.mktemp("r1") / "r1-1.5b.gguf"
    subprocess.run([sys.executable, tool, "--size", "1.5b", path], check=True, capture_output=True)
    return path


@pytest.fixture(scope="module")
def limit() -> Path:
    tool = TOOLS / "with_memory_limit.sh"
    if not tool.is_file():
        pytest.skip("the tool that sets memory limits is not beside the checkout")
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("memory limits need root")
    tried = subprocess.run([tool, "100", "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"memory limits cannot be set here: {tried.stderr.strip()[-200:]}")
    return tool


@pytest.mark.slow
@pytest.mark.native
def test_a_model_larger_than_the_limit_is_not_killed(large: Path, limit: Path) -> None:
    app = Path(__file__).parents[2] / "app"
    assert large.stat().st_size > LIMIT_MB * 1_000_000
    done = subprocess.run(
        [limit, str(LIMIT_MB), sys.executable, "-c", CODE, large, str(BUDGET_MIB)],
        cwd=app, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["tokens"] == 6
    assert told["streamed_mib"] > 300
