"""Keeps what passes and drafts take, by machine, model, draft model and threads.

The times are measured once, at the first load with drafts that were chosen by name. They stay as
they are, so that the drafts of a reproducible answer do.
"""

from __future__ import annotations

from pathlib import Path

from deepseek_r1.core import log
from deepseek_r1.core.measured_file import load_measured, measured_dir, save_measured
from deepseek_r1.engine.draft_times import DraftTimes
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.inference.thread_profile import shape_key

FILE_NAME = "drafts.json"
_KERNELS = 4  # raised when those for few rows change: then times are measured again


def draft_key(
    target: ModelHeader, draft: ModelHeader | None, threads: int, *, streams: bool
) -> str:
    """Return what the times depend on, as one key."""
    drafted = f"{draft.architecture} {draft.parameters} {draft.quantisation}" if draft else "-"
    way = "streamed" if streams else "resident"
    return f"{shape_key(target)} | {way} | {drafted} | {threads} threads | kernels {_KERNELS}"


def load_draft_times(key: str, file: Path | None = None) -> DraftTimes | None:
    """Return the stored times; None where there are none or the file is damaged."""
    return load_measured(file or measured_dir() / FILE_NAME, key, DraftTimes)


def save_draft_times(key: str, times: DraftTimes, file: Path | None = None) -> None:
    """Store times. A profile that cannot be written only means that they are measured again."""
    try:
        save_measured(file or measured_dir() / FILE_NAME, key, times)
    except OSError as error:
        log.engine.warning("the times of drafts cannot be stored: %s", error)
