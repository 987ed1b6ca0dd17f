"""Decides by its path whether a file goes into the bundle. Used by build.spec.

PyInstaller collects generously: every plugin of Qt with all that it needs, every dialect of a
library. The application draws with Qt's raster engine and talks to no server through Qt, so a
short list of Qt's parts is enough. The bundle's smoke test says when the list is too short.
"""

from __future__ import annotations

import plistlib
import re
import tomllib
from pathlib import Path, PurePath
from typing import Any

IDENTIFIER = "io.github.r1desk.R1Desk"

# By folder of Qt's plugins: stems that are kept, without the "lib" that Linux and macOS put before.
QT_PLUGINS = {
    "platforms": {"qxcb", "qwayland", "qoffscreen", "qwindows", "qcocoa"},
    "platforminputcontexts": {
        "composeplatforminputcontextplugin",
        "ibusplatforminputcontextplugin",  # Chinese and Japanese; fcitx speaks its protocol too
    },
    "platformthemes": {"qxdgdesktopportal"},  # file dialogs inside a sandbox; gtk3 would bring GTK
    "iconengines": {"qsvgicon"},
    "imageformats": {"qsvg"},
    "wayland-shell-integration": {"xdg-shell"},
    "wayland-decoration-client": {"bradient", "adwaita"},
}
QT_LIBRARIES = {"Core", "DBus", "Gui", "Network", "Svg", "WaylandClient", "Widgets", "XcbQpa"}
QT_TRANSLATIONS = {"qtbase_zh_CN.qm"}  # English needs none

# Modules that are imported by name only, where no analysis finds them. Of the two bindings only the
# low-level modules are used; their packages' own __init__ never runs.
HIDDEN_MODULES = [
    "ctransformers.lib",
    "ctransformers.llm",
    "ctransformers.logger",
    "ctransformers.utils",
    "deepseek_r1.host.child",
    "deepseek_r1.ocr.picture_text",
    "ijson.backends._yajl2",
    "ijson.backends.yajl2_c",
    "llama_cpp._ctypes_extensions",
    "llama_cpp._ggml",
    "llama_cpp.llama_cpp",
]

# Modules that something imports somewhere and the application never needs.
EXCLUDED_MODULES = [
    "IPython",
    "PIL.ImageQt",
    "PIL.ImageTk",
    "PIL._avif",
    "PIL._imagingtk",
    "PyInstaller",
    "_pytest",
    "ctransformers.hub",
    "ctransformers.langchain",
    "ctransformers.transformers",
    "ensurepip",
    "huggingface_hub",
    "httpx2._main",  # its command line, which draws with rich
    "hypothesis",
    "idlelib",
    "lib2to3",
    "llama_cpp.llama",
    "llama_cpp.server",
    "matplotlib",
    "mypy",
    "numpy.f2py",
    "numpy.fft",
    "numpy.polynomial",
    "numpy.random",
    "numpy.testing",
    "onnxruntime.datasets",
    "onnxruntime.quantization",
    "onnxruntime.tools",
    "onnxruntime.training",
    "onnxruntime.transformers",
    "pip",
    "pydantic.mypy",
    "pydoc",
    "pytest",
    "requests",
    "setuptools",
    "tkinter",
    "torch",
    "transformers",
    "turtledemo",
    "unittest",
    "yaml",
]

_QT_LIBRARY = re.compile(r"^(?:lib)?Qt6([A-Za-z0-9]+)\.(?:so|dll|dylib)")
_QT_FRAMEWORK = re.compile(r"(?:^|/)Qt([A-Za-z0-9]+)\.framework/")
_LLAMA_NAMES = re.compile(r"^(?:lib)?(?:llama|ggml(?:-base|-cpu(?:-[a-z0-9_]+)?)?)\.")


def kept(place: str) -> bool:
    """Returns True for a file that the application needs, given its `place` inside the bundle."""
    path = PurePath(place.replace("\\", "/"))
    if "PySide6" in path.parts or _QT_LIBRARY.match(path.name):
        return _kept_of_qt(path)
    return path.parts[0] not in {"share", "lib2to3"}


def _kept_of_qt(path: PurePath) -> bool:
    parts = path.parts
    if "plugins" in parts:
        folder = parts[parts.index("plugins") + 1]
        stem = path.name.split(".")[0].removeprefix("lib")
        return stem in QT_PLUGINS.get(folder, set())
    if "qml" in parts:
        return False
    if "translations" in parts:
        return path.name in QT_TRANSLATIONS
    if "opengl32sw" in path.name:  # a software renderer of 20 MB on Windows
        return False
    library = _QT_LIBRARY.match(path.name) or _QT_FRAMEWORK.search(path.as_posix())
    return library is None or library[1] in QT_LIBRARIES


def llama_libraries(package: PurePath, files: list[PurePath]) -> list[tuple[str, str]]:
    """Returns (file, name in the bundle's llama_cpp/lib) once for every library of llama.cpp.

    A wheel cannot contain links, so it contains each library three times, as `libggml.so`,
    `libggml.so.0` and `libggml.so.0.9.4`, and again outside of the package. What is opened is
    `libllama.so` (by the binding) and the `.so.0` of the others (by each other); the variants of
    the CPU code are searched for in the same folder.
    """
    chosen: dict[str, str] = {}
    ordered = sorted(files, key=lambda file: not file.is_relative_to(package))
    for file in ordered:
        if not _LLAMA_NAMES.match(file.name) or not opened_by_name(file.name):
            continue
        chosen.setdefault(file.name, str(file))
    return [(file, name) for name, file in sorted(chosen.items())]


def opened_by_name(name: str) -> bool:
    """Returns True for the name in the wheel by which a library is opened."""
    if ".so" not in name:  # .dll and .dylib
        return not re.search(r"\.\d+\.\d+\.\d+\.dylib$", name)
    stem, ending = name.split(".so", 1)
    variant = re.search(r"-cpu-[a-z0-9_]+$", stem)
    if variant or stem == "libllama":
        return ending == ""
    return re.fullmatch(r"\.\d+", ending) is not None


def version(root: Path) -> str:
    """Returns the application's version in pyproject.toml."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return str(project["project"]["version"])


def version_resource(root: Path, program: str) -> str:
    """Returns the version resource of a program for Windows, in the form that PyInstaller reads.

    A version of Windows is four numbers; ours has three.
    """
    text = version(root)
    numbers = tuple(int(number) for number in re.findall(r"\d+", text)[:3])
    strings = {
        "CompanyName": "The R1 Desk authors",
        "FileDescription": "R1 Desk" if program == "r1desk" else "R1 Desk, command line",
        "FileVersion": text,
        "InternalName": program,
        "LegalCopyright": "MIT licence",
        "OriginalFilename": f"{program}.exe",
        "ProductName": "R1 Desk",
        "ProductVersion": text,
    }
    entries = ", ".join(f"StringStruct({key!r}, {value!r})" for key, value in strings.items())
    four = (*numbers, *[0] * (4 - len(numbers)))
    return (
        f"VSVersionInfo(ffi=FixedFileInfo(filevers={four}, prodvers={four}, OS=0x40004),\n"
        f"  kids=[StringFileInfo([StringTable('040904B0', [{entries}])]),\n"
        "        VarFileInfo([VarStruct('Translation', [0x409, 1200])])])\n"
    )


def info_plist(root: Path) -> dict[str, Any]:
    """Returns the Info.plist of the application with its version."""
    values = plistlib.loads((root / "installer" / "macos" / "Info.plist").read_bytes())
    return values | {"CFBundleVersion": version(root), "CFBundleShortVersionString": version(root)}
