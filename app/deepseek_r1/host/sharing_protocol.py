"""The protocol between an application that has an engine and the server that shares this engine.

The server is a child of the application and has no engine of its own. It writes the engine's
requests of `host.protocol` to its output and reads their replies from its input; the application
passes both on. The messages here are the others. The application trusts none of them: behind the
server are other programs.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.events import ModelLoaded
from deepseek_r1.core.frames import one_of
from deepseek_r1.host.protocol import (
    CancelRequest,
    ClosingReply,
    Count,
    EventReply,
    Frame,
    Heartbeat,
    ModelRequest,
    ShutdownRequest,
)

MAX_CLIENTS = 8
MAX_NAME_CHARACTERS = 80


class SharingStart(Frame):
    """The first message to the server: the port of the loopback address, and the key."""

    kind: Literal["sharing_start"] = "sharing_start"
    port: Annotated[int, Field(ge=0, le=65_535)]
    api_key: Annotated[str, Field(min_length=16, max_length=256)]


class ModelShared(Frame):
    """The model that is loaded now, and its name for clients; None while there is none."""

    kind: Literal["model_shared"] = "model_shared"
    loaded: ModelLoaded | None = None
    name: str = ""


class SharingBegan(Frame):
    """The server listens at this address."""

    kind: Literal["sharing_began"] = "sharing_began"
    address: Annotated[str, Field(max_length=64)]


class SharingRefused(Frame):
    """The server cannot run and ends."""

    kind: Literal["sharing_refused"] = "sharing_refused"
    report: ErrorReport


class SharingClient(Frame):
    """A program that used the server: the name that it gives itself, and its requests."""

    name: Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)]
    requests: Count
    running: Count


class SharingClients(Frame):
    """The programs that used the server, the last ones first."""

    kind: Literal["sharing_clients"] = "sharing_clients"
    clients: Annotated[tuple[SharingClient, ...], Field(max_length=MAX_CLIENTS)]


class ModelWanted(Frame):
    """A request came while no model is loaded."""

    kind: Literal["model_wanted"] = "model_wanted"


ToServer = SharingStart | ModelShared | EventReply | ClosingReply | Heartbeat | ShutdownRequest
FromServer = (
    SharingBegan | SharingRefused | SharingClients | ModelWanted | ModelRequest | CancelRequest
)
to_server_adapter: TypeAdapter[ToServer] = one_of(ToServer)
from_server_adapter: TypeAdapter[FromServer] = one_of(FromServer)
