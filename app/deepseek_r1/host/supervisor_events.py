"""The events that the supervisor sends to its owner."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.host.protocol import Reply


class EngineState(StrEnum):
    """The state of the engine."""

    STOPPED = "stopped"  # no process; the next request starts one
    STARTING = "starting"
    READY = "ready"  # no model
    LOADING = "loading"
    IDLE = "idle"  # a model, waiting
    GENERATING = "generating"
    FAILED = "failed"  # it kept crashing; only `RestartRequest` starts it again


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The engine's state has changed. `detail` and `report` give the reason of a failure."""

    state: EngineState
    detail: str = ""
    report: ErrorReport | None = None


@dataclass(frozen=True, slots=True)
class RestartRequest:
    """Asks the supervisor to restart the process and to reset the restart budget."""


HostEvent = StateChanged | Reply
