"""Where the user's data lies."""

import sys
from pathlib import Path

import pytest

from deepseek_r1.core import paths
from deepseek_r1.core.models_folders import user_models_dir


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A frozen program in a folder of its own, without an explicit profile."""
    monkeypatch.delenv("R1DESK_PROFILE", raising=False)
    if sys.platform == "darwin":  # where the folder is looked for beside the application
        monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "r1desk"))
    return tmp_path


def test_a_folder_named_portable_beside_the_program_holds_everything(bundle: Path) -> None:
    assert bundle not in paths.profile_dir().parents
    (bundle / "portable").mkdir()
    assert paths.profile_dir() == bundle / "portable"
    assert user_models_dir() == bundle / "portable" / "models"
    assert paths.log_dir() == bundle / "portable" / "logs"


def test_on_macos_it_lies_beside_the_application(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = bundle / "R1 Desk.app" / "Contents" / "MacOS" / "r1desk"
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(sys, "executable", str(inside))
    (bundle / "portable").mkdir()
    assert paths.profile_dir() == bundle / "portable"


def test_an_explicit_profile_goes_first(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bundle / "portable").mkdir()
    monkeypatch.setenv("R1DESK_PROFILE", "/elsewhere")
    assert paths.profile_dir() == Path("/elsewhere")


def test_a_checkout_has_no_portable_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    (tmp_path / "portable").mkdir()
    assert paths.portable_dir() is None
