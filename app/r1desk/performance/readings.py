"""Measured values that the strip and the panel show. Memory in MiB, loads as shares from 0 to 1."""

from __future__ import annotations

from dataclasses import dataclass

from r1desk.performance.rates import StreamingRates


@dataclass(frozen=True, slots=True)
class ResourceSample:
    """One measurement of this process, the engine and the machine.

    `cores` is empty in the first sample: a load is the difference between two.
    """

    window_mib: float
    engine_mib: float
    machine_used_mib: float
    machine_total_mib: float
    cores: tuple[float, ...]

    @property
    def app_mib(self) -> float:
        """Memory of the whole application."""
        return self.window_mib + self.engine_mib


@dataclass(frozen=True, slots=True)
class GaugeValues:
    """Everything the strip shows. A budget or context length of 0 is not known yet."""

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
    streaming: StreamingRates | None = None  # of a model that runs from the disk
    preparing: bool = False  # the next turn, which nobody has asked for yet

    @property
    def cpu(self) -> float:
        """The mean load of all cores."""
        return sum(self.cores) / len(self.cores) if self.cores else 0.0
