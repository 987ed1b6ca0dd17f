"""What the supervisor tells the one who runs it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.host.protocol import Reply


class EngineState(StrEnum):
    """Where the engine stands."""

    STOPPED = "stopped"  # no process; the next request starts one
    STARTING = "starting"
    READY = "ready"  # no model
    LOADING = "loading"
    IDLE = "idle"  # a model, waiting
    GENERATING = "generating"
    FAILED = "failed"  # it kept dying; only `Restart` starts it again


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The engine is in another state. `detail` and `report` say why, where something went wrong."""

    state: EngineState
    detail: str = ""
    report: ErrorReport | None = None


@dataclass(frozen=True, slots=True)
class Restart:
    """A wish: start the engine's process anew and forget how often it died."""


Notice = StateChanged | Reply
