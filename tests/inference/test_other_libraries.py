"""Other users of llama-cpp-python work in the process of a model of ours."""

from pathlib import Path

import pytest

from support.command import run_code

pytestmark = pytest.mark.integration

# As LangChain's `LlamaCpp` does it: the package is imported when its model is made.
BESIDE = """
import sys
from deepseek_r1 import CPUInference
with CPUInference(sys.argv[1], context_length=256) as model:
    before = model.generate("Hi", max_tokens=2, temperature=0)
    assert not [each for each in sys.modules if each.partition(".")[0] == "llama_cpp"]
    from llama_cpp import Llama
    other = Llama(model_path=sys.argv[1], n_ctx=64, verbose=False)
    assert other("Hi", max_tokens=2)["choices"][0]["text"]
    assert model.generate("Hi", max_tokens=2, temperature=0) == before
with CPUInference(sys.argv[1], context_length=256) as model:
    assert model.generate("Hi", max_tokens=2, temperature=0) == before
"""


def test_llama_cpp_is_imported_whole_beside_a_model_of_ours(starter: Path) -> None:
    done = run_code(BESIDE, starter)
    assert done.returncode == 0, done.stderr
