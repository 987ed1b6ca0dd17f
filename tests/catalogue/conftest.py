from __future__ import annotations

import pytest

from deepseek_r1.catalogue.download_spec import RetryPolicy
from support.gguf_files import tiny_qwen2
from support.patience import PATIENCE_S


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers of these tests are on this computer."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="session")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small model that is sound."""
    return tiny_qwen2(tmp_path_factory.mktemp("made") / "sound.gguf").read_bytes()


@pytest.fixture
def quick() -> RetryPolicy:
    """Short pauses, and servers on this computer are allowed. Only a hang is a stall."""
    return RetryPolicy(
        connect_s=PATIENCE_S,
        stall_s=PATIENCE_S,
        least_bytes=64,
        give_up_s=PATIENCE_S,
        first_tries=3,
        pause_s=0.01,
        longest_pause_s=0.05,
        loopback_http=True,
    )
