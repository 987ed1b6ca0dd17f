"""A folder for prompts, and engines one after another."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deepseek_r1.engine.interface import Engine
from deepseek_r1.engine.llama.prompt_cache.segment_store import PromptCache
from support.gguf_files import tiny_qwen2
from support.prompt_chats import Opener, open_with_cache


@pytest.fixture
def reopened(tmp_path: Path) -> Iterator[Callable[..., PromptCache]]:
    """Opens the folder, with a budget, after closing it."""
    opened: list[PromptCache] = []

    def reopen(budget: int = 500 << 20) -> PromptCache:
        while opened:
            opened.pop().close()
        opened.append(PromptCache(tmp_path / "prompts", budget))
        return opened[-1]

    yield reopen
    for cache in opened:
        cache.close()


@pytest.fixture
def cache(reopened: Callable[..., PromptCache]) -> PromptCache:
    return reopened()


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


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_qwen2(tmp_path_factory.mktemp("tiny") / "tiny.gguf", seed=2)
