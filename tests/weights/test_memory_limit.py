"""A model larger than a real memory limit runs to its end inside it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.real_models import memory_limit, r1_shaped

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


@pytest.mark.slow
@pytest.mark.integration
def test_a_model_larger_than_the_limit_is_not_killed(tmp_path_factory):
    limit, large = memory_limit(LIMIT_MB), r1_shaped(tmp_path_factory)
    app = Path(__file__).parents[2] / "app"
    assert large.stat().st_size > LIMIT_MB * 1_000_000
    done = subprocess.run(
        [*limit, sys.executable, "-c", CODE, large, str(BUDGET_MIB)],
        cwd=app, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["tokens"] == 6
    assert result["streamed_mib"] > 300
