"""The list of models on this machine, also those of other applications, read-only."""

import json
from pathlib import Path

import pytest

from deepseek_r1.catalogue import installed as module
from deepseek_r1.catalogue.installed import app_files, app_folders, installed_models, known_by
from deepseek_r1.catalogue.known_models import known_models
from deepseek_r1.catalogue.model_file import Owner
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
    assert only.owner is Owner.STARTER
    assert only.path == starter_model()
    assert only.header is not None
    assert only.error is None


def test_models_of_the_folder_come_by_name_and_opened_ones_last(folder, tmp_path):
    tiny_qwen2(folder / "b.gguf")
    (folder / "sub").mkdir()
    tiny_llama(folder / "sub" / "A.gguf")
    (folder / "notes.txt").write_text("no model")
    opened = tiny_llama(tmp_path / "模型.gguf")
    _, *found = installed_models([opened])
    assert [(each.path.name, each.owner) for each in found] == [
        ("A.gguf", Owner.FOLDER),
        ("b.gguf", Owner.FOLDER),
        ("模型.gguf", Owner.OPENED),
    ]
    assert [each.name for each in found] == ["Tiny llama", "Tiny qwen2", "Tiny llama"]


def test_a_model_is_listed_once_however_it_was_reached(folder: Path, tmp_path: Path) -> None:
    path = tiny_llama(folder / "model.gguf")
    link = tmp_path / "link.gguf"
    link.symlink_to(path)
    _, only = installed_models([path, link, path])
    assert only.owner is Owner.FOLDER


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
    (found,) = [each for each in installed_models([path]) if each.owner is Owner.OPENED]
    assert found.known is None
    assert found.name == "Tiny qwen2"


# ---- other applications

DIGEST = "ab" * 32


def ollama_model(folder: Path, *names: str, digest: str = DIGEST) -> Path:
    """A model as Ollama keeps it: a manifest with its name, and a blob without one."""
    manifest = folder.joinpath("manifests", *names)
    manifest.parent.mkdir(parents=True, exist_ok=True)
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}"}
    other = {"mediaType": "application/vnd.ollama.image.license", "digest": "sha256:" + "cd" * 32}
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": [other, layer]}))
    blob = folder / "blobs" / f"sha256-{digest}"
    blob.parent.mkdir(exist_ok=True)
    return tiny_qwen2(blob)


def test_gguf_files_are_found_in_the_folders_of_each_application(tmp_path: Path) -> None:
    studio, jan = tmp_path / "studio", tmp_path / "jan"
    (studio / "publisher" / "repo").mkdir(parents=True)
    jan.mkdir()
    first = tiny_llama(studio / "publisher" / "repo" / "a.gguf")
    tiny_llama(studio / "publisher" / "repo" / "mmproj-a.gguf")
    (studio / "notes.gguf").write_text("no model")
    second = tiny_llama(jan / "model.gguf")
    found = app_files({Owner.LM_STUDIO: (studio,), Owner.JAN: (jan, tmp_path / "not there")})
    assert [(each.path, each.owner) for each in found] == [
        (first, Owner.LM_STUDIO),
        (second, Owner.JAN),
    ]


def test_a_model_of_ollama_has_the_name_that_ollama_uses(tmp_path: Path) -> None:
    blob = ollama_model(tmp_path, "registry.ollama.ai", "library", "deepseek-r1", "7b")
    ollama_model(tmp_path, "registry.ollama.ai", "someone", "own", "latest", digest="ef" * 32)
    found = app_files({Owner.OLLAMA: (tmp_path,)})
    assert {each.name for each in found} == {"deepseek-r1:7b", "someone/own:latest"}
    assert blob in {each.path for each in found}


@pytest.mark.parametrize("text", [
    "", "[]", "{", '{"layers": 7}',
    json.dumps({"layers": [{"mediaType": module.MODEL_LAYER, "digest": "sha256:../x"}]}),
])  # fmt: skip
def test_a_file_that_is_not_a_manifest_is_skipped(tmp_path: Path, text: str) -> None:
    ollama_model(tmp_path, "registry.ollama.ai", "library", "good", "1b")
    (tmp_path / "manifests" / "registry.ollama.ai" / "library" / "good" / "bad").write_text(text)
    (only,) = app_files({Owner.OLLAMA: (tmp_path,)})
    assert only.name == "good:1b"


def test_the_cache_of_the_hub_is_read_through_its_links(tmp_path: Path) -> None:
    repository = tmp_path / "models--owner--repo"
    (repository / "blobs").mkdir(parents=True)
    (repository / "snapshots" / "abc").mkdir(parents=True)
    blob = tiny_llama(repository / "blobs" / ("12" * 32))
    link = repository / "snapshots" / "abc" / "model-Q4_K_M.gguf"
    link.symlink_to(blob)
    (only,) = app_files({Owner.HUGGING_FACE: (tmp_path,)})
    assert only.path == link
    *_, model = installed_models([], [only])
    assert model.owner is Owner.HUGGING_FACE


def test_only_the_downloads_folder_itself_is_searched(tmp_path: Path) -> None:
    tiny_llama(tmp_path / "here.gguf")
    (tmp_path / "below").mkdir()
    tiny_llama(tmp_path / "below" / "there.gguf")
    (only,) = app_files({Owner.DOWNLOADS: (tmp_path,)})
    assert only.path.name == "here.gguf"


def test_a_circle_of_links_and_a_huge_folder_end_the_search(tmp_path, monkeypatch):
    (tmp_path / "round").symlink_to(tmp_path)
    for number in range(60):
        (tmp_path / f"{number}.txt").touch()
    tiny_llama(tmp_path / "zz.gguf")
    assert len(app_files({Owner.JAN: (tmp_path,)})) == 1
    monkeypatch.setattr(module, "MOST_ENTRIES", 10)
    assert len(app_files({Owner.JAN: (tmp_path,)})) <= 1


def test_a_file_that_cannot_be_used_is_not_offered(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF\3\0\0\0")
    others = app_files({Owner.JAN: (tmp_path,)})
    assert len(others) == 1
    assert [each.owner for each in installed_models([], others)] == [Owner.STARTER]


def test_an_opened_file_of_another_application_is_listed_once_with_its_owner(tmp_path):
    path = tiny_llama(tmp_path / "a.gguf")
    *_, only = installed_models([path], app_files({Owner.JAN: (tmp_path,)}))
    assert only.owner is Owner.JAN


def test_variables_of_the_applications_move_their_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "o"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "h"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.delenv("HUGGINGFACE_HUB_CACHE", raising=False)
    folders = app_folders()
    assert tmp_path / "o" in folders[Owner.OLLAMA]
    assert folders[Owner.HUGGING_FACE] == (tmp_path / "h" / "hub",)
