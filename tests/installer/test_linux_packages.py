"""What the Linux packages bring besides the bundle, checked by the desktop's own tools."""

import os
import shutil
import subprocess
from pathlib import Path

import package
import pytest
import try_deb

pytestmark = pytest.mark.slow

LINUX = Path(__file__).resolve().parents[2] / "installer" / "linux"


def needs_tool(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed")


@needs_tool("desktop-file-validate")
def test_the_menu_entry_is_valid() -> None:
    command = ["desktop-file-validate", LINUX / "r1desk.desktop"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@needs_tool("appstreamcli")
def test_the_description_for_software_centres_is_valid(tmp_path: Path) -> None:
    file = tmp_path / package.COMPONENT
    file.write_text(package.component(), encoding="utf-8")
    command = ["appstreamcli", "validate", "--no-net", "--no-color", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert f'version="{package.contents.version(package.ROOT)}"' in file.read_text()


@needs_tool("update-mime-database")
def test_a_gguf_file_is_known_by_its_ending_and_its_first_bytes(tmp_path: Path) -> None:
    package.install(LINUX / "r1desk-mime.xml", tmp_path / "packages", "r1desk.xml")
    subprocess.run(["update-mime-database", str(tmp_path)], check=True, stderr=subprocess.DEVNULL)
    assert "application/x-gguf:*.gguf" in (tmp_path / "globs").read_text()
    assert b"application/x-gguf" in (tmp_path / "magic").read_bytes()


@pytest.mark.parametrize(
    "name", ["plain", "中文 and spaces", 'quote" and $dollar', "50% back\\slash"]
)
def test_the_menu_entry_names_the_folder_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    folder, home = tmp_path / name, tmp_path / "home"
    (folder / "share").mkdir(parents=True)
    home.mkdir()
    for file in ("r1desk.desktop", "r1desk-mime.xml"):
        shutil.copy(LINUX / file, folder / "share")
    (folder / "share" / "icons" / "hicolor" / "16x16" / "apps").mkdir(parents=True)
    for script in ("install.sh", "uninstall.sh"):
        shutil.copy(LINUX / script, folder)
    environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
    subprocess.run([folder / "install.sh"], env=environment, check=True, capture_output=True)
    entry = home / ".local/share/applications/r1desk.desktop"
    line = next(line for line in entry.read_text().splitlines() if line.startswith("Exec="))
    assert desktops_reading(line.removeprefix("Exec=")) == [f"{folder}/r1desk", "%f"]
    subprocess.run([folder / "uninstall.sh"], env=environment, check=True, capture_output=True)
    assert not entry.exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="packages hold root's files")
def test_a_package_with_a_link_to_nowhere_or_with_wrong_rights_is_refused(tmp_path: Path) -> None:
    program, link = tmp_path / "program", tmp_path / "link"
    program.touch(0o755)
    link.symlink_to("/program")
    for file in (program, link):
        try_deb.look_at(file, tmp_path)
    for rights, what in ((0o4755, "too much"), (0o757, "too much"), (0o700, "for all to read")):
        program.chmod(rights)
        with pytest.raises(try_deb.Flaw, match=what):
            try_deb.look_at(program, tmp_path)
    program.unlink()
    with pytest.raises(try_deb.Flaw, match="is not in it"):
        try_deb.look_at(link, tmp_path)


def desktops_reading(value: str) -> list[str]:
    """The arguments, read as the specification says: first the string, then the quotes."""
    text = value.replace("\\\\", "\0").replace("\0", "\\")
    arguments, current, quoted, index = [], "", False, 0
    while index < len(text):
        letter = text[index]
        if letter == '"':
            quoted = not quoted
        elif letter == "\\" and quoted:
            index += 1
            current += text[index]
        elif letter == " " and not quoted:
            arguments.append(current)
            current = ""
        else:
            current += letter
        index += 1
    # A doubled % is a plain one; the field code for a file stands alone.
    return [a if a == "%f" else a.replace("%%", "%") for a in [*arguments, current]]
