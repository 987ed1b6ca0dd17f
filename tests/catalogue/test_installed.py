"""The list of models on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepseek_r1.catalogue.installed import Origin, installed_models, known_by
from deepseek_r1.catalogue.known_models import known_models
from deepseek_r1.core.models_folders import user_models_dir
from deepseek_r1.core.paths import starter_model
from support.gguf_files import tiny_llama, tiny_qwen2
from support.split import tiny_in_two_files


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for the user's models."""
    monkeypatch.setenv("R1DESK_PROFILE", str(tmp_path / "我的 profile"))
    user_models_dir().mkdir(parents=True)
    return user_models_dir()


def test_a_fresh_installation_has_the_starter_model(folder: Path) -> None:
    (only,) = installed_models()
    assert only.origin is Origin.STARTER
    assert only.path == starter_model()
    assert only.header is not None
    assert only.error is None


def test_a_profile_that_is_not_there_yet_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("R1DESK_PROFILE", str(tmp_path / "nowhere"))
    assert len(installed_models()) == 1


def test_models_of_the_folder_come_by_name_and_opened_ones_last(
    folder: Path, tmp_path: Path
) -> None:
    tiny_qwen2(folder / "b.gguf")
    (folder / "sub").mkdir()
    tiny_llama(folder / "sub" / "A.gguf")
    (folder / "notes.txt").write_text("no model")
    opened = tiny_llama(tmp_path / "模型.gguf")
    _, *found = installed_models([opened])
    assert [(each.path.name, each.origin) for each in found] == [
        ("A.gguf", Origin.FOLDER),
        ("b.gguf", Origin.FOLDER),
        ("模型.gguf", Origin.OPENED),
    ]
    assert [each.name for each in found] == ["Tiny llama", "Tiny qwen2", "Tiny llama"]


def test_a_model_is_listed_once_however_it_was_reached(folder: Path, tmp_path: Path) -> None:
    path = tiny_llama(folder / "model.gguf")
    link = tmp_path / "link.gguf"
    link.symlink_to(path)
    _, only = installed_models([path, link, path])
    assert only.origin is Origin.FOLDER


def test_a_split_model_is_one_model(folder: Path) -> None:
    tiny_in_two_files(folder)
    _, only = installed_models([folder / "tiny-00002-of-00002.gguf"])
    assert only.path.name == "tiny-00001-of-00002.gguf"
    assert only.header is not None
    assert len(only.header.parts) == 2


def test_a_broken_or_missing_file_is_listed_with_the_reason(folder: Path, tmp_path: Path) -> None:
    (folder / "broken.gguf").write_bytes(b"GGUF\3\0\0\0")
    _, broken, missing = installed_models([tmp_path / "gone.gguf"])
    assert broken.error is not None
    assert broken.error.code == "ModelFileTruncated"
    assert broken.header is None
    assert missing.error is not None
    assert missing.error.code == "ModelFileMissing"


def test_a_known_file_is_recognised_by_name_shape_and_size() -> None:
    for model in known_models():
        for file in model.files:
            assert known_by(model.header(file)) == (model, file)


def test_a_strange_file_under_a_known_name_is_not_recognised(tmp_path: Path) -> None:
    known_name = known_models()[0].files[0].file
    path = tiny_qwen2(tmp_path / known_name)
    (found,) = [each for each in installed_models([path]) if each.origin is Origin.OPENED]
    assert found.known is None
    assert found.name == "Tiny qwen2"
