"""What a release is made of, checked without the systems it runs on."""

import json
import plistlib
import shutil
import struct
import subprocess
import sys
from pathlib import Path, PurePosixPath

import contents
import from_source
import icons
import native
import needs
import pytest
import sbom
import screen
import smoke
from chat_on_disk import Chat, stored

from r1desk.store import ConversationSettings, Store

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = PurePosixPath("/site/llama_cpp")
WHEEL = [
    *(f"/site/llama_cpp/lib/libllama.so{end}" for end in ("", ".0", ".0.5.0")),
    *(f"/site/llama_cpp/lib/libggml.so{end}" for end in ("", ".0", ".0.25.3")),
    *(f"/site/lib/libggml.so{end}" for end in ("", ".0", ".0.25.3")),
    *(f"/site/lib/libllama-common.so{end}" for end in ("", ".0", ".0.5.0")),
    "/site/bin/libggml-cpu-haswell.so",
    "/site/bin/libggml-cpu-x64.so",
    "/site/bin/llama-quantize",
]


def chosen(files: list[str]) -> dict[str, str]:
    paths = [PurePosixPath(file) for file in files]
    return {name: file for file, name in contents.llama_libraries(PACKAGE, paths)}


def test_each_library_of_llama_cpp_goes_in_once_under_the_name_it_is_opened_by() -> None:
    assert chosen(WHEEL) == {
        "libllama.so": "/site/llama_cpp/lib/libllama.so",
        "libggml.so.0": "/site/llama_cpp/lib/libggml.so.0",
        "libggml-cpu-haswell.so": "/site/bin/libggml-cpu-haswell.so",
        "libggml-cpu-x64.so": "/site/bin/libggml-cpu-x64.so",
    }


def test_the_libraries_of_other_systems_are_found_as_well() -> None:
    windows = ["/site/llama_cpp/lib/llama.dll", "/site/bin/ggml-cpu-haswell.dll"]
    assert set(chosen(windows)) == {"llama.dll", "ggml-cpu-haswell.dll"}
    apple = ["libllama.dylib", "libllama.0.dylib", "libllama.0.5.0.dylib"]
    assert "libllama.0.5.0.dylib" not in chosen([f"/site/llama_cpp/lib/{name}" for name in apple])


@pytest.mark.parametrize(
    ("place", "stays"),
    [
        ("PySide6/Qt/plugins/platforms/libqxcb.so", True),
        ("PySide6/plugins/platforms/qwindows.dll", True),
        ("PySide6/Qt/plugins/platforms/libqvnc.so", False),
        ("PySide6/Qt/plugins/platformthemes/libqgtk3.so", False),
        ("PySide6/Qt/lib/libQt6Widgets.so.6", True),
        ("PySide6/Qt/lib/libQt6Quick.so.6", False),
        ("PySide6/Qt/lib/libicudata.so.73", True),
        ("PySide6/Qt/translations/qtbase_zh_CN.qm", True),
        ("PySide6/Qt/translations/qtbase_de.qm", False),
        ("PySide6\\opengl32sw.dll", False),
        ("PySide6/Qt/lib/QtQml.framework/Versions/A/QtQml", False),
        ("PySide6/Qt/lib/QtGui.framework/Versions/A/QtGui", True),
        ("resources/icons/app.svg", True),
    ],
)
def test_of_qt_only_what_the_window_uses_stays(place: str, stays: bool) -> None:
    assert contents.kept(place) is stays


@pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("objdump"), reason="reads ELF files with objdump"
)
def test_a_library_that_only_a_dropped_plugin_needed_is_dropped_with_it(tmp_path: Path) -> None:
    def library(name: str, *needed: Path) -> Path:
        source, made = tmp_path / f"{name}.c", tmp_path / name
        source.write_text(f"int {PurePosixPath(name).with_suffix('').stem}(void) {{ return 1; }}\n")
        command = ["cc", "-shared", "-fPIC", "-o", str(made), f"-Wl,-soname,{name}", str(source)]
        subprocess.run([*command, "-Wl,--no-as-needed", *map(str, needed)], check=True)
        return made

    deep = library("libdeep.so.1")
    used = library("libused.so.1", deep)
    plugin = library("plugin.so", used)
    orphan = library("liborphan.so.1")
    places = {"plugins/plugin.so": plugin, **{file.name: file for file in (deep, used, orphan)}}
    kept = needs.reachable({place: str(file) for place, file in places.items()})
    assert set(kept) == {"plugins/plugin.so", "libused.so.1", "libdeep.so.1"}
    assert needs.needed_by(plugin)[0] == "libused.so.1"
    used.unlink()
    assert needs.lacking(tmp_path) == {"libused.so.1": "plugin.so"}


def test_the_lock_file_names_the_source_that_is_compiled() -> None:
    source = native.locked_source(ROOT / "uv.lock")
    assert source.url.endswith(f"llama_cpp_python-{source.version}.tar.gz")
    assert len(source.sha256) == 64


def test_a_lock_file_without_llama_cpp_is_named(tmp_path: Path) -> None:
    lock = tmp_path / "uv.lock"
    lock.write_text('[[package]]\nname = "numpy"\n')
    with pytest.raises(ValueError, match="does not name llama-cpp-python"):
        native.locked_source(lock)


def test_a_kept_wheel_is_used_only_for_the_same_source_and_options(tmp_path, monkeypatch):
    source = native.Source("1.0", "https://example.org/a.tar.gz", "0" * 64)
    place = native.kept_place(tmp_path, source)
    assert native.kept_place(tmp_path, native.Source("1.0", source.url, "1" * 64)) != place
    monkeypatch.setenv("CMAKE_ARGS", "-DGGML_OPENMP=OFF")
    assert native.kept_place(tmp_path, source) != place


def test_icons_are_containers_of_the_same_pictures() -> None:
    pictures = {size: b"\x89PNG" + bytes([size % 251]) * size for size in icons.PNG_SIZES_PX}
    made = icons.ico({size: pictures[size] for size in icons.ICO_SIZES_PX})
    count = struct.unpack_from("<HHH", made)[2]
    assert count == len(icons.ICO_SIZES_PX)
    for index, size in enumerate(icons.ICO_SIZES_PX):
        *_, length, offset = struct.unpack_from("<BBBBHHII", made, 6 + 16 * index)
        assert made[offset : offset + length] == pictures[size]
    apple = icons.icns(pictures)
    assert apple[:4] == b"icns"
    assert struct.unpack(">I", apple[4:8])[0] == len(apple)
    position, kinds = 8, []
    while position < len(apple):
        kinds.append(apple[position : position + 4].decode())
        position += struct.unpack_from(">I", apple, position + 4)[0]
    assert kinds == list(icons.ICNS_TYPES)


def test_macos_is_told_the_version_of_the_project() -> None:
    values = contents.info_plist(ROOT)
    assert values["CFBundleShortVersionString"] == contents.version(ROOT)
    assert values["CFBundleExecutable"] == "r1desk"
    entitlements = plistlib.loads((ROOT / "installer/macos/entitlements.plist").read_bytes())
    assert all(key.startswith("com.apple.security.cs.") for key in entitlements)


class Recorded:
    """Any class of PyInstaller's version resources: keeps what it was made of."""

    def __init__(self, *positional: object, **named: object) -> None:
        self.positional, self.named = positional, named


def test_explorer_shows_the_version_of_each_program() -> None:
    """The text is an expression of PyInstaller's classes, which exist on Windows only."""
    names = ("VSVersionInfo", "FixedFileInfo", "StringFileInfo", "StringTable", "StringStruct")
    classes = dict.fromkeys((*names, "VarFileInfo", "VarStruct"), Recorded)
    for program in ("r1desk", "deepseek-r1"):
        resource = eval(contents.version_resource(ROOT, program), classes)
        fixed = resource.named["ffi"].named
        assert ".".join(map(str, fixed["filevers"])) == contents.version(ROOT) + ".0"
        table = resource.named["kids"][0].positional[0][0]
        strings = dict(each.positional for each in table.positional[1])
        assert strings["ProductVersion"] == contents.version(ROOT)
        assert strings["OriginalFilename"] == f"{program}.exe"


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
    assert names == ["llama.cpp", "yajl", "uv", "SmolLM2-135M-Instruct", "Noto Sans SC"]
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


def test_a_chat_is_read_while_the_window_has_its_database_open(tmp_path: Path) -> None:
    assert stored(tmp_path) == Chat()
    with Store(tmp_path / "conversations.db") as store:
        conversation = store.conversations.create(ConversationSettings("/a/model.gguf")).id
        question = store.messages.append_user(conversation, "Is it there?", None)
        answer = store.messages.begin_answer(conversation, question.id)
        assert stored(tmp_path) == Chat("Is it there?", "", "streaming", "/a/model.gguf")
        store.messages.save_progress(answer.id, "Yes, it", "")
        assert stored(tmp_path).answer == "Yes, it"
        assert not stored(tmp_path).ended


@pytest.mark.skipif(not all(map(shutil.which, ("Xvfb", "xdotool", "import"))), reason="no screen")
def test_a_failure_on_the_screen_names_its_windows_and_keeps_a_picture(tmp_path: Path) -> None:
    picture = tmp_path / "screen.png"
    with (
        screen.x11() as desktop,
        pytest.raises(smoke.SmokeFailed) as failed,
        smoke.seen(desktop, picture),
    ):
        raise smoke.SmokeFailed("no window came in 60 s")
    assert str(failed.value) == f"no window came in 60 s. Windows: none. The screen: {picture}"
    assert picture.stat().st_size > 0


def test_the_list_of_components_is_the_same_each_time(tmp_path, monkeypatch):
    for name in ("one", "other"):
        monkeypatch.setattr(sys, "argv", ["sbom.py", str(tmp_path / name)])
        assert sbom.main() == 0
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
