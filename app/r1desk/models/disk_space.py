"""Finds the free space on the drive of the models."""

from __future__ import annotations

import shutil

from deepseek_r1.core.models_folders import user_models_dir


def free_models_bytes() -> int | None:
    """The bytes free where the models folder is or will be; None where it is unknown.

    Not for the main thread: a network drive may take its time.
    """
    folder = user_models_dir()
    existing = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    try:
        return shutil.disk_usage(existing).free
    except OSError:
        return None
