"""A folder for prompts, and engines one after another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deepseek_r1.engine.llama.prompt_cache.segment_store import PromptCache
from deepseek_r1.engine.protocol.base import Engine
from support.prompt_chats import Opener, open_with_cache


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[PromptCache]:
    made = PromptCache(tmp_path / "prompts", 500 << 20)
    yield made
    made.close()


@pytest.fixture
def open_next() -> Iterator[Opener]:
    """Opens an engine as `open_with_cache`, and closes the one before."""
    engines: list[Engine] = []

    def open_one(*arguments: Any, **options: Any) -> Engine:
        while engines:
            engines.pop().close()
        engines.append(open_with_cache(*arguments, **options))
        return engines[-1]

    yield open_one
    while engines:
        engines.pop().close()
