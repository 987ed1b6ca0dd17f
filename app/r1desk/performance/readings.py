"""Values of the strip and the panel: memory and processor, activity, disk rates."""

from dataclasses import dataclass
from enum import StrEnum

from deepseek_r1.core import events
from deepseek_r1.core.events import WeightsStats
from deepseek_r1.core.i18n import N_, tr
from deepseek_r1.core.units import format_mib
from deepseek_r1.host.protocol import EngineState


@dataclass(frozen=True, slots=True)
class StreamingRates:
    """Rates since the last heartbeat. `wait_share` is the part of the time spent on disk waits."""

    pinned_mib: float
    streamed_mib: float  # in each pass
    read_mib_s: float
    hit_rate: float
    wait_share: float


class StreamingRateMeter:
    """Turns counters that only grow into rates."""

    def __init__(self) -> None:
        self._before: tuple[WeightsStats, float] | None = None

    def update(self, stats: WeightsStats | None, at_s: float) -> StreamingRates | None:
        """Return the rates since the previous call; None for a model in memory."""
        before, self._before = self._before, None if stats is None else (stats, at_s)
        if stats is None:
            return None
        passed_s = at_s - before[1] if before is not None else 0.0
        if before is None or passed_s <= 0 or stats.read_mib < before[0].read_mib:  # another model
            return StreamingRates(stats.pinned_mib, stats.streamed_mib, 0.0, stats.hit_rate, 0.0)
        since = stats.since(before[0])
        idle = since.hits + since.misses == 0
        return StreamingRates(
            pinned_mib=stats.pinned_mib,
            streamed_mib=stats.streamed_mib,
            read_mib_s=since.read_mib / passed_s,
            hit_rate=stats.hit_rate if idle else since.hit_rate,
            wait_share=min(1.0, max(0.0, since.io_wait_s / passed_s)),
        )


def rates_tooltip(rates: StreamingRates) -> str:
    """All numbers, one a line."""
    return tr(
        "In memory: {pinned}\n"
        "Read from the disk for each token: {streamed}\n"
        "Reading: {rate} a second\n"
        "Found in memory: {hits:.0%}\n"
        "Waiting for the disk: {wait:.0%} of the time",
        pinned=format_mib(rates.pinned_mib),
        streamed=format_mib(rates.streamed_mib),
        rate=format_mib(rates.read_mib_s),
        hits=rates.hit_rate,
        wait=rates.wait_share,
    )


def rates_summary(rates: StreamingRates) -> str:
    """One sentence for a screen reader."""
    return tr(
        "Reading {rate} a second from the disk, {hits:.0%} found in memory.",
        rate=format_mib(rates.read_mib_s),
        hits=rates.hit_rate,
    )


class Activity(StrEnum):
    """The parts of an answer in their order, with their names."""

    READING = N_("Reading")  # prefill
    THINKING = N_("Thinking")
    WRITING = N_("Writing")


class EngineActivity:
    """Follows one answer. `tok_s` is 0 while no token of the present answer has been written."""

    def __init__(self) -> None:
        self.activity = Activity.READING
        self.tok_s = 0.0

    def start(self) -> None:
        """A load or an answer begins: the last answer's speed is of no interest any more."""
        self.activity = Activity.READING
        self.tok_s = 0.0

    def on_event(self, event: events.Event) -> None:
        match event:
            case events.PrefillProgress():
                self.start()
            case events.ThinkingDelta() | events.AnswerDelta():
                thinks = isinstance(event, events.ThinkingDelta)
                self.activity = Activity.THINKING if thinks else Activity.WRITING
                if event.elapsed_s > 0:
                    self.tok_s = event.completion_tokens / event.elapsed_s
            case events.GenerationFinished(stats=stats):
                self.tok_s = stats.decode_tok_s
            case events.ModelLoaded():
                self.tok_s = 0.0


def format_engine_state(state: EngineState, activity: Activity) -> str:
    """The engine's state in a word or two."""
    if state is EngineState.GENERATING:
        return tr(activity)
    return {
        EngineState.STOPPED: tr("Stopped"),
        EngineState.STARTING: tr("Starting"),
        EngineState.READY: tr("No model"),
        EngineState.LOADING: tr("Loading"),
        EngineState.IDLE: tr("Ready"),
        EngineState.FAILED: tr("Stopped after several failures"),
    }[state]


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

    @property
    def cpu(self) -> float:
        """The mean load of all cores."""
        return sum(self.cores) / len(self.cores) if self.cores else 0.0


@dataclass(frozen=True, slots=True)
class GaugeValues:
    """Everything the strip shows. A budget of 0 is not known yet."""

    sample: ResourceSample
    budget_mib: float
    state: str
    tok_s: float
    streaming: StreamingRates | None = None  # of a model that runs from the disk
    preparing: bool = False  # the next turn, which nobody has asked for yet
