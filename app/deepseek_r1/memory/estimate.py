"""Estimates a model's memory and speed on this machine, before it is loaded."""

from __future__ import annotations

from dataclasses import dataclass, replace

from deepseek_r1.core.events import Bill
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.hardware import default_threads
from deepseek_r1.hardware.disk import read_speed_mib_s
from deepseek_r1.memory.advice import Advice, advise, speed_text
from deepseek_r1.memory.disk_throughput import drafted_tok_s, undrafted_tok_s, unhidden_compute_s
from deepseek_r1.memory.draft_costs import EXPECTED_TOKENS_PER_PASS
from deepseek_r1.memory.plan import ProcessOverhead, plan


@dataclass(frozen=True, slots=True)
class Estimate:
    """The bill, and the nearest settings that fit; their text is empty when the bill fits."""

    bill: Bill
    advice: Advice

    @property
    def fits_with(self) -> LoadSettings | None:
        """The nearest settings that fit; None where the bill fits already."""
        return self.advice.settings if self.advice.text else None


def estimate(
    header: ModelHeader,
    settings: LoadSettings,
    overhead: ProcessOverhead,
    *,
    measure_disk: bool = True,
) -> Estimate:
    """Plan and advise. The disk is measured, once, only where a model would be streamed."""
    bill = plan(header, settings, overhead).bill
    advice = Advice(settings, "", bill) if bill.fits else advise(header, settings, overhead)
    streams = bill.streams or (advice.text != "" and advice.settings.swap_enabled)
    if not streams or not measure_disk:
        return Estimate(bill, advice)
    disk_mib_s = read_speed_mib_s(header.path)
    threads = settings.threads or default_threads()
    compute_s = unhidden_compute_s(header, threads)
    bill = _with_speed(bill, disk_mib_s, compute_s)
    if overhead.draft_mib and bill.streams and disk_mib_s:
        plain = plan(header, settings, replace(overhead, draft_mib=0.0)).bill
        bill = bill.model_copy(
            update={
                "tokens_per_pass": EXPECTED_TOKENS_PER_PASS,
                "drafted_tok_s": drafted_tok_s(bill, overhead.draft_mib, threads),
                "undrafted_tok_s": undrafted_tok_s(_with_speed(plain, disk_mib_s, compute_s)),
            }
        )
    return Estimate(bill, advice_with_speed(advice, disk_mib_s, compute_s))


def advice_with_speed(advice: Advice, disk_mib_s: float, compute_s: float) -> Advice:
    """The advice with the speed that its settings give, where they stream."""
    if not advice.text or advice.bill is None:
        return advice
    speed = speed_text(_with_speed(advice.bill, disk_mib_s, compute_s))
    return replace(advice, text=f"{advice.text} {speed}".rstrip())


def _with_speed(bill: Bill, disk_mib_s: float, compute_s: float) -> Bill:
    return bill.model_copy(update={"disk_mib_s": disk_mib_s, "compute_s": compute_s})
