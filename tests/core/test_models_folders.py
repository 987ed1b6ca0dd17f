"""The folder of models: the profile's, or a chosen one; earlier ones keep their models."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepseek_r1.catalogue import file_rules
from deepseek_r1.catalogue.download_spec import DownloadSpec
from deepseek_r1.catalogue.errors import FolderFull, FolderUnusable
from deepseek_r1.catalogue.installed import installed_models
from deepseek_r1.catalogue.pull import pull
from deepseek_r1.core.models_folders import (
    FILE_NAME,
    choose_models_dir,
    models_dirs,
    user_models_dir,
)
from support.gguf_files import tiny_llama


def test_without_a_choice_the_folder_is_in_the_profile(own_profile: Path) -> None:
    assert user_models_dir() == own_profile / "models"
    assert models_dirs() == (own_profile / "models",)


def test_a_chosen_folder_is_used_and_the_one_before_is_still_listed(
    own_profile: Path, tmp_path: Path
) -> None:
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


def test_a_folder_whose_drive_has_gone_is_not_created_on_another(
    own_profile: Path, tmp_path: Path
) -> None:
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


def test_a_folder_on_a_full_drive_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_rules, "LEAST_FREE_BYTES", 1 << 60)
    with pytest.raises(FolderFull, match="MB are free"):
        file_rules.require_usable(tmp_path)
