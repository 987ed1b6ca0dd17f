"""The memory bill of a model before it is loaded: its header comes from the header process."""

from pathlib import Path

from deepseek_r1.catalogue.header_process import HeaderProcess
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.memory.forecast import Estimate, estimate, planned_share
from deepseek_r1.memory.load_plan import LoadPlan, plan_load, read_other_models, with_other_models
from deepseek_r1.memory.plan import require_context, with_context


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
    header = headers.read_header(path)
    share = with_other_models(planned_share(window_mib), settings, header, headers.read_header)
    require_context(header, with_context(header, settings, share))
    return estimate(header, settings, share, measure_disk=measure_disk)


def checked_load(
    headers: HeaderProcess,
    path: Path,
    settings: LoadSettings,
    window_mib: float,
    chat_template: str,
) -> LoadPlan:
    """The plan of a load. Raises what the load would before it opens the model's files."""
    header = headers.read_loadable(path, settings.draft_path, chat_template)
    others = read_other_models(settings, header, headers.read_header)
    return plan_load(header, settings, planned_share(window_mib), others)
