"""Where the user's data and models lie."""

import sys
from pathlib import Path

import pytest

from deepseek_r1.catalogue import file_rules
from deepseek_r1.catalogue.download_spec import DownloadSpec
from deepseek_r1.catalogue.errors import FolderFull, FolderUnusable
from deepseek_r1.catalogue.installed import installed_models
from deepseek_r1.catalogue.pull import pull
from deepseek_r1.core import paths
from deepseek_r1.core.models_folders import (
    FILE_NAME,
    choose_models_dir,
    models_dirs,
    user_models_dir,
)
from support.gguf_files import tiny_llama


def test_without_a_choice_the_folder_is_in_the_profile(own_profile: Path) -> None:
    assert user_models_dir() == own_profile / "models"
    assert models_dirs() == (own_profile / "models", own_profile / "converted")


def test_a_chosen_folder_is_used_and_the_one_before_is_still_listed(own_profile, tmp_path):
    other = tmp_path / "other 模型"
    for folder, name in ((own_profile / "models", "old.gguf"), (other, "new.gguf")):
        folder.mkdir(parents=True)
        tiny_llama(folder / name)
    choose_models_dir(other)
    assert user_models_dir() == other
    assert [each.path.name for each in installed_models()[1:]] == ["new.gguf", "old.gguf"]
    choose_models_dir(None)
    assert user_models_dir() == own_profile / "models"
    assert other in models_dirs()


@pytest.mark.parametrize(
    "text", ["", "{", '{"folder": ""}', '{"folder": 7}', '{"folder": "a\\u0000"}']
)
def test_a_damaged_choice_gives_the_folder_in_the_profile(own_profile: Path, text: str) -> None:
    own_profile.mkdir(parents=True)
    (own_profile / FILE_NAME).write_text(text)
    assert user_models_dir() == own_profile / "models"


def test_a_folder_whose_drive_has_gone_is_not_created_on_another(own_profile, tmp_path):
    gone = tmp_path / "usb" / "models"
    choose_models_dir(gone)
    spec = DownloadSpec("https://x.test/a.gguf", "a.gguf", "0" * 64)
    with pytest.raises(FolderUnusable, match="may not be connected"):
        pull([spec], user_models_dir())
    assert not gone.exists()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    file_rules.require_usable(tmp_path)
    assert not list(tmp_path.iterdir()), "the probe is gone"
    for folder in (Path("/proc"), tmp_path / "not there", Path("a\0b")):
        with pytest.raises(FolderUnusable):
            file_rules.require_usable(folder)


def test_a_folder_on_a_full_drive_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(file_rules, "LEAST_FREE_BYTES", 1 << 60)
    with pytest.raises(FolderFull, match=r"has only [\d,]+ MiB free"):
        file_rules.require_usable(tmp_path)


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


def test_on_macos_it_lies_beside_the_application(bundle, monkeypatch):
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
