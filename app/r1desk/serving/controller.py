"""Switches the server on and off, and connects its requests with the window's engine.

The server has no engine: its answers come from the model that the window has loaded, and yield to
the window's own. Its process is a part of the window's memory, so one budget holds for all.
"""

import secrets
from dataclasses import replace
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core import log
from deepseek_r1.core.errors import ErrorReport, R1Error
from deepseek_r1.core.model_names import short_name
from deepseek_r1.host.protocol import (
    CancelRequest,
    ClosingReply,
    ErrorReply,
    EventReply,
    GenerateRequest,
    Heartbeat,
    ModelRequest,
    ShutdownRequest,
)
from deepseek_r1.host.sharing_protocol import (
    FromServer,
    ModelShared,
    ModelWanted,
    SharingBegan,
    SharingClients,
    SharingRefused,
    SharingStart,
)
from r1desk.engine.engine_bridge import EngineRequest
from r1desk.features import Services
from r1desk.models.controller import ModelController
from r1desk.platform.tasks import Tasks, task
from r1desk.serving.served_answer import ServedAnswer
from r1desk.serving.server_process import (
    SERVER_MIB,
    NoMemoryForServer,
    ServerEnded,
    ServerLibrariesMissing,
    ServerProcess,
    ServingPhase,
    ServingState,
)

KEY_BYTES = 24
LEAST_KEY_CHARACTERS = 16
_DETAIL_CHARACTERS = 300


class ServingController(QObject):
    """Lives in the main thread and knows no widget. Off at every start of the application."""

    changed = Signal(object)  # the ServingState

    def __init__(self, services: Services, models: ModelController, parent: QObject) -> None:
        super().__init__(parent)
        self._engine, self._preferences = services.engine, services.preferences
        self._save_preferences, self._models = services.save_preferences, models
        self.tasks = Tasks(self)
        self._process: ServerProcess | None = None
        self._refused: ErrorReport | None = None
        self._open: dict[int, ServedAnswer | EngineRequest] = {}
        self.state = ServingState(
            port=self._preferences.serving_port, key=self._preferences.serving_key
        )
        for signal in (models.loaded, models.unloaded, models.load_started, models.load_failed):
            signal.connect(self._on_model_changed)
        self._engine.heartbeat.connect(self._send)

    @property
    def pid(self) -> int:
        """The id of the server's process; 0 without one."""
        return self._process.pid if self._process is not None else 0

    # ---- the user ---------------------------------------------------------------------------

    @Slot()
    def start(self) -> None:
        """Switch the server on, unless the budget has no room for it."""
        if self._process is not None:
            return
        self._refused = None
        try:
            self._reserve_memory()
        except R1Error as error:
            self._set(replace(self.state, problem=str(error)))
            return
        try:
            process = ServerProcess(self)
        except OSError as error:
            self._release_memory()
            self._set(replace(self.state, problem=str(error)))
            return
        self._process = process
        process.received.connect(self._on_received)
        process.ended.connect(self._on_ended)
        if len(self._preferences.serving_key) < LEAST_KEY_CHARACTERS:
            self._store_key()
        key, port = self._preferences.serving_key, self._preferences.serving_port
        process.send(SharingStart(port=port, api_key=key))
        self._set(replace(self.state, phase=ServingPhase.STARTING, key=key, problem=""))
        self._on_model_changed()

    @Slot()
    def stop(self) -> None:
        """Switch the server off. Running answers of other programs end."""
        if self._process is None:
            return
        for request in tuple(self._open.values()):
            request.cancel()
        self._process.send(ShutdownRequest())
        self._set(replace(self.state, phase=ServingPhase.ENDING))

    @Slot(int)
    def set_port(self, port: int) -> None:
        """Use another port from the next start on."""
        self._preferences.serving_port = port
        self._set(replace(self.state, port=port, problem=""))
        self._save_preferences()

    @Slot()
    def make_new_key(self) -> None:
        """Replace the key, while the server is off: programs with the old one are refused."""
        if self._process is None:
            self._store_key()
            self._set(replace(self.state, key=self._preferences.serving_key))

    def close(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None

    def _store_key(self) -> None:
        self._preferences.serving_key = "r1-" + secrets.token_urlsafe(KEY_BYTES)
        self._save_preferences()

    def _reserve_memory(self) -> None:
        """Take the server's memory from the budget. Raises NoMemoryForServer."""
        loaded = self._models.current
        if loaded is None:
            return  # the bill of the next load contains the server
        if loaded.bill.streams:
            self._models.live.grow_window_share(SERVER_MIB)
            return
        left = int(loaded.bill.budget_mib - loaded.bill.total_mib)
        if left < SERVER_MIB:
            raise NoMemoryForServer(
                needed_mib=SERVER_MIB, left_mib=left, needed_more_mib=SERVER_MIB - left
            )

    def _release_memory(self) -> None:
        """Give the server's memory back to the weights of a model that runs from the disk."""
        self._models.live.grow_window_share(-SERVER_MIB)

    def _set(self, state: ServingState) -> None:
        if state != self.state:
            self.state = state
            self.changed.emit(state)

    # ---- the model --------------------------------------------------------------------------

    @Slot()
    def _on_model_changed(self) -> None:
        loaded = self._models.current if self._models.ready else None
        name = Path(loaded.facts.path).stem if loaded else ""
        self._send(ModelShared(loaded=loaded, name=name))
        people = short_name(loaded.facts.name) if loaded else ""
        self._set(replace(self.state, model=name, model_name=people))

    @Slot(object)
    def _send(self, message: ModelShared | Heartbeat | EventReply | ClosingReply) -> None:
        if self._process is not None:
            self._process.send(message)

    # ---- the server -------------------------------------------------------------------------

    @Slot(object)
    def _on_received(self, message: FromServer) -> None:
        match message:
            case SharingBegan(address=address):
                if self.state.wanted:  # else it was switched off during its start
                    self._set(replace(self.state, phase=ServingPhase.ON, address=f"{address}/v1"))
            case SharingRefused(report=report):
                self._refused = report
            case SharingClients(clients=clients):
                self._set(replace(self.state, clients=clients))
            case ModelWanted():
                if self._models.resting and self._engine.comparison is None:
                    self._models.ensure_loading()
            case GenerateRequest():
                self._on_generate(message)
            case CancelRequest():
                if (request := self._open.get(message.id)) is not None:
                    request.cancel()
            case _:
                self._pass_on(message)

    def _on_generate(self, message: GenerateRequest) -> None:
        if message.id not in self._open:
            reply = partial(self._reply, self._process)
            self._open[message.id] = ServedAnswer(self._engine, message, reply, self)

    def _reply(self, process: ServerProcess | None, reply: EventReply | ClosingReply) -> None:
        """Send a reply to the process that wanted it, unless another one runs by now."""
        if process is not self._process:
            return
        if not isinstance(reply, EventReply):
            self._open.pop(reply.id, None)
        self._send(reply)

    @task
    async def _pass_on(self, message: ModelRequest) -> None:
        """Send a request that generates nothing to the engine, under a number of its own."""
        process = self._process
        fields = {key: getattr(message, key) for key in type(message).model_fields
                  if key not in ("id", "kind")}  # fmt: skip
        request = self._engine.submit(type(message), **fields)
        self._open.setdefault(message.id, request)
        closing: ClosingReply
        try:
            closing = await request
        except R1Error as refused:
            closing = ErrorReply(id=message.id, report=refused.report())
        self._reply(process, closing.model_copy(update={"id": message.id}))

    @Slot(int, str)
    def _on_ended(self, status: int, stderr: str) -> None:
        wanted = self.state.wanted
        process, self._process = self._process, None
        if process is not None:
            process.deleteLater()
        for request in tuple(self._open.values()):
            request.cancel()
        self._open.clear()
        self._release_memory()
        problem = _problem(status, stderr, self._refused) if wanted else ""
        if problem:
            log.window.warning("the server ended: %s", problem)
        self._set(
            replace(self.state, phase=ServingPhase.OFF, address="", clients=(), problem=problem)
        )


def _problem(status: int, stderr: str, refused: ErrorReport | None) -> str:
    """The reason of an end that nobody wanted."""
    if refused is not None:
        return refused.text()
    if "ModuleNotFoundError" in stderr:
        return str(ServerLibrariesMissing())
    last = stderr.strip().rsplit("\n", 1)[-1][:_DETAIL_CHARACTERS]
    return str(ServerEnded(status=status, detail=last))
