from dataclasses import replace

import pytest

from deepseek_r1.catalogue.download_spec import RetryPolicy
from support.gguf_files import tiny_qwen2
from support.hostile_server import QUICK
from support.patience import PATIENCE_S


@pytest.fixture(autouse=True)
def without_proxy(no_proxy: None) -> None:
    pass


@pytest.fixture(scope="session")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small model that is sound."""
    return tiny_qwen2(tmp_path_factory.mktemp("made") / "sound.gguf").read_bytes()


@pytest.fixture
def quick() -> RetryPolicy:
    """Short pauses, and servers on this computer are allowed. Only a hang is a stall."""
    return replace(QUICK, give_up_s=PATIENCE_S, first_tries=3, longest_pause_s=0.05)
