"""The state of the server, as it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from deepseek_r1.host.sharing_protocol import SharingClient

SERVER_MIB = 64  # of the server's process, measured


class ServingPhase(StrEnum):
    """Where the server is between off and on."""

    OFF = "off"
    STARTING = "starting"
    ON = "on"
    ENDING = "ending"


@dataclass(frozen=True, slots=True)
class ServingState:
    """Everything that is shown. `problem` says why the server is off although it was wanted."""

    phase: ServingPhase = ServingPhase.OFF
    address: str = ""  # of the API, with its path
    key: str = ""
    port: int = 0
    model: str = ""  # the name for clients; empty while none is loaded
    clients: tuple[SharingClient, ...] = ()
    problem: str = ""

    @property
    def wanted(self) -> bool:
        """Whether the switch is on."""
        return self.phase in (ServingPhase.STARTING, ServingPhase.ON)
