"""The page of a release, its checksums, and the comparison of two builds."""

import shutil
import subprocess
import sys

import pytest
import release


@pytest.fixture
def files(tmp_path):
    """A folder with two files."""
    (folder := tmp_path / "one").mkdir()
    (folder / "r1desk_1.0_amd64.deb").write_bytes(bytes(3 << 20))
    (folder / "r1desk-1.0-py3-none-manylinux_2_28_x86_64.whl").write_bytes(b"wheel")
    (folder / "r1desk-1.0-macos-arm64.zip").write_bytes(b"zip")
    return folder


def test_the_page_has_each_file_with_its_size_and_the_sums_are_true(files, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["release.py", "--page", str(files)])
    assert release.main() == 0
    page = (files / release.PAGE).read_text(encoding="utf-8")
    assert "| `r1desk_1.0_amd64.deb` | Debian, Ubuntu | 3.0 | Not signed." in page
    assert "Not made here: `.exe` for Windows 10, 11" in page
    assert "Not made here: `.deb`" not in page
    sums = (files / release.SUMS).read_text(encoding="utf-8")
    assert sums in page
    for line in sums.splitlines():
        checksum, name = line.split("  ")
        assert release.checksum(files / name) == checksum


def test_the_page_names_each_processor_whose_file_is_missing(files):
    page = release.write_page(files).read_text(encoding="utf-8")
    assert "`-macos-x86_64.zip` for macOS 15, Intel.\n" in page
    assert "`-win_arm64.whl` for Python 3.11 to 3.13, windows-aarch64" in page
    assert "`-manylinux_2_28_x86_64.whl`" not in page
    assert "`-macos-arm64.zip`" not in page


def test_what_two_builds_do_not_share_is_named(files, monkeypatch, capsys):
    other = shutil.copytree(files, files.with_name("other"))
    monkeypatch.setattr(sys, "argv", ["release.py", "--compare", str(files), str(other)])
    assert release.main() == 0
    (other / "r1desk_1.0_amd64.deb").write_bytes(b"other")
    (other / "more.exe").write_bytes(b"")
    assert release.main() == 1
    assert capsys.readouterr().out.splitlines()[1:] == [
        "only in one: more.exe",
        "differs: r1desk_1.0_amd64.deb",
    ]


def test_a_step_that_fails_ends_with_a_sentence(monkeypatch, capsys):
    def stop(_bundle):
        raise subprocess.CalledProcessError(2, "uv build")

    monkeypatch.setattr(release, "make", stop)
    monkeypatch.setattr(sys, "argv", ["release.py"])
    assert release.main() == 1
    assert capsys.readouterr().err.startswith("Stopped: ")
