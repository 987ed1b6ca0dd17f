"""The values behind the gauge. Memory in MiB, loads as shares from 0 to 1."""

from __future__ import annotations

from dataclasses import dataclass

from r1desk.performance.streaming import Streaming


@dataclass(frozen=True, slots=True)
class Reading:
    """What one measurement of this machine said. `cores` is empty for the very first."""

    window_mib: float
    engine_mib: float
    machine_used_mib: float
    machine_total_mib: float
    cores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Vitals:
    """Everything the gauge shows. A budget or context length of 0 is not known yet."""

    app_mib: float
    budget_mib: float
    window_mib: float
    engine_mib: float
    machine_used_mib: float
    machine_total_mib: float
    cores: tuple[float, ...]
    state: str
    tok_s: float
    context_used: int
    context_length: int
    streaming: Streaming | None = None  # of a model that runs from the disk

    @property
    def cpu(self) -> float:
        """The mean load of all cores."""
        return sum(self.cores) / len(self.cores) if self.cores else 0.0
