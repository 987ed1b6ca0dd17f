"""The release's own files, checked as far as they can be without the systems they run on."""

import json
import shutil
import subprocess
from pathlib import Path

import from_source
import icons
import pytest
import sbom

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "installer").rglob("*.sh"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_shell_scripts_can_be_read_and_run(script: Path) -> None:
    shell = script.read_text(encoding="utf-8").splitlines()[0].split()[-1].split("/")[-1]
    subprocess.run([shell, "-n", script], check=True)
    assert script.stat().st_mode & 0o111 == 0o111
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", script], check=True)


@pytest.mark.skipif(not shutil.which("makensis"), reason="makensis is not installed")
def test_the_windows_installer_compiles_without_a_warning(tmp_path: Path) -> None:
    payload = tmp_path / "payload"
    (payload / "_internal" / "资源").mkdir(parents=True)
    for name in ("r1desk.exe", "deepseek-r1.exe", "_internal/资源/文件.txt"):
        (payload / name).write_bytes(b"stand-in")
    icon, out = tmp_path / "r1desk.ico", tmp_path / "r1desk-setup.exe"
    icon.write_bytes(icons.ico(dict.fromkeys(icons.ICO_SIZES_PX, b"\x89PNG\r\n\x1a\n")))
    defined = {"VERSION": "1.2.3", "PAYLOAD": payload, "ICON": icon, "OUT": out}
    command = ["makensis", "-V2", *(f"-D{name}={value}" for name, value in defined.items())]
    script = ROOT / "installer/windows/r1desk.nsi"
    done = subprocess.run([*command, script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert out.read_bytes()[:2] == b"MZ"


def test_the_list_of_components_names_what_the_lock_file_does_not() -> None:
    names = [part["name"] for part in sbom.unlisted((ROOT / "uv.lock").read_text())]
    assert names == ["llama.cpp", "SmolLM2-135M-Instruct", "Noto Sans SC"]
    assert json.dumps(sbom.unlisted((ROOT / "uv.lock").read_text()))


def test_the_release_runs_only_files_that_exist() -> None:
    workflow = (ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8")
    words = workflow.replace('"', " ").replace("'", " ").split()
    named = {word.removeprefix("./") for word in words if "installer/" in word}
    files = {word for word in named if word.startswith("installer/") and "." in word}
    assert len(files) >= 8
    assert [file for file in files if not (ROOT / file).is_file()] == []


def test_each_change_is_tested_as_the_readme_says_on_each_supported_python() -> None:
    workflow = (ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8")
    assert "run: python installer/from_source.py test" in workflow
    assert "from_source.py test" in (ROOT / "README.md").read_text(encoding="utf-8")
    first, last = from_source.PYTHONS
    versions = [f'"3.{minor}"' for minor in range(first[1], last[1] + 1)]
    assert f"python: [{', '.join(versions)}]" in workflow
