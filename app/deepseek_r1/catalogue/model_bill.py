"""The memory bill of a model before it is loaded: its header comes from the header process."""

from __future__ import annotations

from pathlib import Path

from deepseek_r1.catalogue.header_process import HeaderProcess
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.memory.advice import require_fit
from deepseek_r1.memory.estimate import Estimate, estimate, planned_share
from deepseek_r1.memory.other_models import with_other_models
from deepseek_r1.memory.plan import ProcessOverhead, require_context, with_context


def model_bill(
    headers: HeaderProcess,
    path: Path,
    settings: LoadSettings,
    window_mib: float,
    *,
    measure_disk: bool = True,
) -> Estimate:
    """The bill, and the nearest settings that fit. `window_mib` is the caller's own memory.

    `measure_disk`: for the speed of a model that would run from the disk. Raises ModelRefused.
    """
    header, share = _header_and_share(headers, path, settings, window_mib)
    require_context(header, with_context(header, settings, share))
    return estimate(header, settings, share, measure_disk=measure_disk)


def require_loadable(
    headers: HeaderProcess,
    path: Path,
    settings: LoadSettings,
    window_mib: float,
    chat_template: str,
) -> None:
    """Raise what a load would raise before it opens the model's files: R1Errors."""
    header, share = _header_and_share(headers, path, settings, window_mib)
    require_fit(header, with_context(header, settings, share), share)
    headers.check_loadable(path, settings.draft_path, chat_template)


def _header_and_share(
    headers: HeaderProcess, path: Path, settings: LoadSettings, window_mib: float
) -> tuple[ModelHeader, ProcessOverhead]:
    header = headers.read_header(path)
    share = planned_share(window_mib)
    return header, with_other_models(share, settings, header, headers.read_header)
