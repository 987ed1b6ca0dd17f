"""A bill with what this machine's disk makes of it: for those who ask before they load."""

from __future__ import annotations

from dataclasses import dataclass

from deepseek_r1.core.events import Bill
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.hardware import default_threads
from deepseek_r1.hardware.disk import read_speed_mib_s
from deepseek_r1.memory.disk_pace import unhidden_compute_s
from deepseek_r1.memory.plan import Advice, ProcessShare, advise, plan


@dataclass(frozen=True, slots=True)
class Quote:
    """The bill, and the nearest thing that fits; its text is empty when all fits as it is."""

    bill: Bill
    advice: Advice


def quote(header: ModelHeader, settings: LoadSettings, share: ProcessShare) -> Quote:
    """Plan and advise. Only where the disk plays a part is it measured, once (`hardware.disk`)."""
    bill, advice = plan(header, settings, share), advise(header, settings, share)
    if not bill.streams and not (advice.text and advice.settings.swap_enabled):
        return Quote(bill, advice)
    speed = read_speed_mib_s(header.path)
    compute_s = unhidden_compute_s(header, settings.threads or default_threads())
    advice = advise(header, settings, share, disk_mib_s=speed, compute_s=compute_s)
    pace = {"disk_mib_s": speed, "compute_s": compute_s}
    return Quote(bill.model_copy(update=pace), advice)
