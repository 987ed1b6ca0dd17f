"""Answers how model files would run here, for every list, card and menu that shows it.

The questions are worked off outside the main thread, a few at once: a header is read by a child
process, and a first measurement of the computer takes two seconds.
"""

import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar
from urllib.parse import urlsplit

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.catalogue.checksums import Stop
from deepseek_r1.catalogue.download_spec import RetryPolicy, spec_for_url
from deepseek_r1.catalogue.errors import DownloadStopped, RepositoryWithoutModel
from deepseek_r1.catalogue.forecaster import Forecaster, MeasuredRate, store_rate
from deepseek_r1.catalogue.header_process import HeaderProcess, drive_answers
from deepseek_r1.catalogue.hub_reference import HubReference
from deepseek_r1.catalogue.installed import app_files, installed_models
from deepseek_r1.catalogue.model_file import ModelFile, known_files, listed_files
from deepseek_r1.core.events import Event, GenerationFinished, ModelFacts, ModelLoaded
from deepseek_r1.core.models_folders import user_models_dir
from deepseek_r1.core.settings import LoadSettings
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.platform.background_thread import ask_in_background, stream_in_background
from r1desk.platform.helper_processes import add_helper, remove_helper
from r1desk.platform.tasks import Later, Tasks, task
from r1desk.preferences import Preferences

AT_ONCE = 3
TURN_S = 15.0  # a question waits for its turn; then those before it hang at a drive
LEAST_TOKENS = 32  # of an answer whose speed says something
_MIB = 1 << 20
Files = tuple[ModelFile, ...]
AnswerT = TypeVar("AnswerT")
P = ParamSpec("P")
Question = Callable[Concatenate[Forecaster, P], Iterator[AnswerT]]


class ForecastService(QObject):
    """Lives in the main thread."""

    rate_stored = Signal()  # from now on the forecasts of that file are others

    def __init__(self, preferences: Preferences, engine: EngineBridge | None = None) -> None:
        """`engine` is the one whose answers are measured."""
        super().__init__()
        self.tasks = Tasks(self)
        self._preferences = preferences
        self._turns = threading.Semaphore(AT_ONCE)
        self._facts: ModelFacts | None = None
        if engine is not None:
            engine.model_loaded.connect(self._on_loaded)
            engine.event_received.connect(self._on_event)

    @property
    def settings(self) -> LoadSettings:
        """The settings in force, for which questions are answered."""
        return self._preferences.load

    def ask(
        self, question: Question[P, AnswerT], *args: P.args, **kwargs: P.kwargs
    ) -> Later[AnswerT]:
        """Have `question` about these values answered in a thread."""
        turns, settings = self._turns, self.settings

        def answers() -> Iterator[AnswerT]:
            in_turn = turns.acquire(timeout=TURN_S)
            try:
                with HeaderProcess() as headers:
                    yield from question(Forecaster(settings, headers), *args, **kwargs)
            finally:
                if in_turn:
                    turns.release()

        return stream_in_background(answers)

    @Slot(object)
    def _on_loaded(self, loaded: ModelLoaded) -> None:
        self._facts = loaded.facts

    @Slot(object)
    def _on_event(self, event: Event) -> None:
        """Keep the speed of an answer."""
        if self._facts is None or not isinstance(event, GenerationFinished):
            return
        stats = event.stats
        if stats.completion_tokens < LEAST_TOKENS or not stats.decode_tok_s:
            return
        rate = MeasuredRate(
            file_bytes=round(self._facts.file_mib * _MIB),
            tok_s=stats.decode_tok_s,
            budget_mib=self.settings.memory_budget if stats.weights is not None else 0,
        )
        self._store(Path(self._facts.path), rate)

    @task
    async def _store(self, path: Path, rate: MeasuredRate) -> None:
        await ask_in_background(store_rate, path, rate)
        self.rate_stored.emit()


# ---- the questions ------------------------------------------------------------------------------


def find_files(forecaster: Forecaster, opened: Sequence[Path]) -> Iterator[Files]:
    """The models on this computer, `opened` among them, then what the catalogue has beside them.

    Again with those of other applications, whose folders take longer to search, and with measured
    speeds. A file on a network share that does not answer is left out.
    """
    opened = [path for path in opened if drive_answers(path)]
    read = forecaster.headers.read_header
    here, known = installed_models(opened, read=read), known_files()
    yield _joined(here, known, forecaster)
    if others := app_files():
        here = installed_models(opened, others, read)
        yield _joined(here, known, forecaster)
    if not forecaster.speed.memory_mib_s:
        forecaster.measure()
        yield _joined(here, known, forecaster)


def _joined(here: Files, known: Files, forecaster: Forecaster) -> Files:
    names = {each.file.casefold() for each in here if each.known is not None}
    others = (each for each in known if each.file.casefold() not in names)
    return forecaster.add_to((*here, *others))


def list_repository(
    forecaster: Forecaster, reference: HubReference, policy: RetryPolicy, stop: Stop
) -> Iterator[tuple[Files, str]]:
    """The models of a repository and the name of the wanted one; again with measured speeds.

    Connects to the host, which the user has requested. `stop` ends it. Raises R1Errors.
    """
    from deepseek_r1.catalogue import network_process  # noqa: PLC0415 - not for the start

    process = network_process.NetworkProcess(add_helper, remove_helper)
    try:
        listing = process.list_repository(reference, policy, stop)
    except DownloadStopped:
        return
    try:
        wanted = listing.choose()[0].name
    except RepositoryWithoutModel:
        wanted = ""
    files = listed_files(listing)
    yield forecaster.add_to(files), wanted
    forecaster.measure()
    yield forecaster.add_to(files), wanted


def file_at(url: str) -> ModelFile:
    """The file at an address. Raises FileNameUnusable."""
    spec = spec_for_url(url, None)
    host = urlsplit(url).hostname or ""
    return ModelFile(spec.file.removesuffix(".gguf"), spec.file, sources={host: (spec,)})


def free_models_bytes() -> int | None:
    """The bytes free where the models folder is or will be; None where it is unknown.

    Not for the main thread: a network drive may take its time.
    """
    folder = user_models_dir()
    existing = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    try:
        return shutil.disk_usage(existing).free
    except OSError:
        return None
