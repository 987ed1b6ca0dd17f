"""Small files are replaced in one step, and are on the disk when the call returns."""

import os
import stat
from pathlib import Path

import pytest

from deepseek_r1.core.atomic_write import write_atomically


def test_the_file_has_the_new_bytes_and_nothing_else_is_left(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    write_atomically(file, b"first")
    write_atomically(file, b"second")
    assert file.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.skipif(os.name != "posix", reason="only POSIX systems can sync a folder")
def test_the_data_are_synced_before_the_rename_and_the_folder_after_it(tmp_path, monkeypatch):
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def record_sync(handle: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def record_rename(path: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(Path, "replace", record_rename)
    write_atomically(tmp_path / "settings.json", b"data")
    assert steps == ["file", "rename", "folder"]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "settings.json"
    write_atomically(file, b"old")

    def refuse(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(file, b"new")
    assert file.read_bytes() == b"old"


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_others_cannot_read_a_private_file(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"before")
    file.chmod(0o644)
    (tmp_path / "a.new").write_bytes(b"left over")
    write_atomically(file, b"secret", private=True)
    assert file.read_bytes() == b"secret"
    assert file.stat().st_mode & 0o777 == 0o600
