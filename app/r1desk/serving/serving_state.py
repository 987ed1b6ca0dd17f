"""The state of the server, as it is shown, and what can go wrong."""

from dataclasses import dataclass
from enum import StrEnum

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import N_
from deepseek_r1.host.sharing_protocol import SharingClient

SERVER_MIB = 64  # of the server's process, measured


class NoMemoryForServer(R1Error):
    """The budget has no room for the server's process."""

    what = N_("The server needs {needed_mib} of the memory budget, which has {left_mib} left.")
    todo = N_("Raise the memory budget by {needed_more_mib}, or choose a smaller model.")


class ServerEnded(R1Error):
    """The server's process ended without being asked to."""

    what = N_("The server ended with status {status}. {detail}")
    todo = N_("Switch it on again.")


class ServerLibrariesMissing(R1Error):
    """The optional libraries are not installed."""

    what = N_("The server's libraries are missing.")
    todo = N_("Install them: pip install 'r1desk[serve]'.")


class ServingPhase(StrEnum):
    """Where the server is between off and on, in words."""

    OFF = N_("Switched off")
    STARTING = N_("Starting")
    ON = N_("On")
    ENDING = N_("Ending")


@dataclass(frozen=True, slots=True)
class ServingState:
    """Everything that is shown. `problem` says why the server is off although it was wanted."""

    phase: ServingPhase = ServingPhase.OFF
    address: str = ""  # of the API, with its path
    key: str = ""
    port: int = 0
    model: str = ""  # the name for clients; empty while none is loaded
    model_name: str = ""  # the short one for people
    clients: tuple[SharingClient, ...] = ()
    problem: str = ""

    @property
    def wanted(self) -> bool:
        return self.phase in (ServingPhase.STARTING, ServingPhase.ON)
