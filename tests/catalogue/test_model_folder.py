"""Models that are here: taken in, checked, taken away."""

import hashlib
from pathlib import Path

import pytest
from filelock import FileLock

from deepseek_r1.catalogue.checksums import remembered
from deepseek_r1.catalogue.errors import (
    FileNameTaken,
    FileNameUnusable,
    ImportedFileDiffers,
    ImportRunning,
    ModelNotHere,
)
from deepseek_r1.catalogue.known_models import KnownFile, known_models
from deepseek_r1.catalogue.model_folder import (
    ImportMethod,
    VerifyResult,
    find_model,
    import_model,
    remove,
    verify,
)
from deepseek_r1.catalogue.partial_file import STAGING
from deepseek_r1.core.errors import NotAModelFile, WrongUsage
from support.gguf_files import tiny_llama, tiny_qwen2
from support.split import tiny_in_two_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "profile" / "models"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return tiny_llama(tmp_path / "我的 model.gguf")


@pytest.mark.parametrize("method", ImportMethod)
def test_a_file_comes_in_each_way(method: ImportMethod, mine: Path, folder: Path) -> None:
    data = mine.read_bytes()
    taken = import_model(mine, folder, method=method)
    assert taken.path == folder / mine.name
    assert taken.path.read_bytes() == data
    assert taken.sha256 == (hashlib.sha256(data).hexdigest(),)
    assert mine.exists() is (method is not ImportMethod.MOVE)
    if method is ImportMethod.LINK:
        assert taken.path.samefile(mine)
    assert [each.verdict for each in verify(taken.path)] == [VerifyResult.UNCHANGED]


@pytest.mark.parametrize("method", ImportMethod)
def test_a_file_that_is_not_what_it_should_be_stays_outside(method, mine, folder):
    with pytest.raises(ImportedFileDiffers):
        import_model(mine, folder, method=method, sha256="0" * 64)
    assert mine.exists()
    assert not list(folder.rglob("*.gguf*"))


def test_two_imports_under_one_name_do_not_mix(mine: Path, folder: Path) -> None:
    (folder / STAGING).mkdir(parents=True)
    with FileLock(folder / STAGING / "m.gguf.lock"), pytest.raises(ImportRunning):
        import_model(mine, folder, name="m.gguf")
    assert not (folder / "m.gguf").exists()
    assert import_model(mine, folder, name="m.gguf").path.read_bytes() == mine.read_bytes()


def test_something_else_is_refused_before_anything_is_copied(tmp_path: Path, folder: Path) -> None:
    page = tmp_path / "page.gguf"
    page.write_text("<html>" * 100)
    with pytest.raises(NotAModelFile):
        import_model(page, folder)
    assert not folder.exists()


def test_the_same_file_again_is_no_error_and_another_one_is(mine, folder, tmp_path):
    import_model(mine, folder)
    import_model(mine, folder)
    other = tiny_qwen2(tmp_path / "other.gguf")
    with pytest.raises(FileNameTaken):
        import_model(other, folder, name=mine.name)
    assert import_model(other, folder, name="x.gguf").path.name == "x.gguf"
    with pytest.raises(FileNameUnusable):
        import_model(other, folder, name="../x.gguf")


def test_a_split_model_comes_and_goes_as_one(tmp_path: Path, folder: Path) -> None:
    first, second = tiny_in_two_files(tmp_path)
    taken = import_model(second, folder)
    assert [path.name for path in taken.files] == [
        "tiny-00001-of-00002.gguf", "tiny-00002-of-00002.gguf",
    ]  # fmt: skip
    assert [each.verdict for each in verify(taken.path)] == [VerifyResult.UNCHANGED] * 2
    with pytest.raises(WrongUsage):
        import_model(first, folder, name="one.gguf")
    assert find_model("tiny-00001-of-00002", folder) == taken.path
    assert remove(taken.path) == sum(path.stat().st_size for path in tmp_path.glob("tiny-*"))
    assert not [path for path in folder.rglob("*.*") if path.is_file()]


def test_a_changed_file_is_found(mine: Path, folder: Path) -> None:
    taken = import_model(mine, folder)
    data = bytearray(taken.path.read_bytes())
    data[-100] ^= 1
    taken.path.write_bytes(data)
    (found,) = verify(taken.path)
    assert found.verdict is VerifyResult.CHANGED
    assert not found.sound
    assert found.expected == taken.sha256[0] != found.sha256


def test_a_file_put_there_by_hand_is_not_called_right(folder: Path) -> None:
    folder.mkdir(parents=True)
    (found,) = verify(tiny_llama(folder / "x.gguf"))
    assert (found.verdict, found.expected) == (VerifyResult.UNKNOWN, "")
    (folder / "x.gguf").write_bytes(b"GGUF")
    (found,) = verify(folder / "x.gguf")
    assert (found.verdict, found.sound) == (VerifyResult.UNUSABLE, False)


def test_a_file_of_the_catalogue_is_held_to_the_published_checksum(mine, folder, monkeypatch):
    def known_as(sha256: str) -> None:
        model = known_models()[0]
        file: KnownFile = model.files[0].model_copy(update={"sha256": sha256})
        place = "deepseek_r1.catalogue.model_folder.known_by"
        monkeypatch.setattr(place, lambda _header: (model, file))

    known_as("0" * 64)
    with pytest.raises(ImportedFileDiffers):
        import_model(mine, folder)
    known_as(hashlib.sha256(mine.read_bytes()).hexdigest())
    taken = import_model(mine, folder)
    assert taken.verified
    assert verify(taken.path)[0].verdict is VerifyResult.PUBLISHED


def test_removing_takes_the_checksum_with_it(mine: Path, folder: Path) -> None:
    taken = import_model(mine, folder)
    assert remembered(taken.path)
    remove(taken.path)
    assert remembered(taken.path) is None
    with pytest.raises(ModelNotHere):
        find_model(mine.stem, folder)


def test_removing_a_linked_model_leaves_the_original_and_its_room(mine: Path, folder: Path) -> None:
    assert remove(import_model(mine, folder, method=ImportMethod.LINK).path) == 0
    assert mine.exists()
