"""Compares models: several of them answer the same questions inside one memory budget.

Each model has an engine process of its own, which ends after its last answer. They run together
where the sum of their bills fits the budget, each with its share of it and of the processor's
cores; else one after the other, each with all of both.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from queue import SimpleQueue

from deepseek_r1.catalogue.header_process import HeaderProcess
from deepseek_r1.catalogue.model_bill import model_bill
from deepseek_r1.core import log
from deepseek_r1.core.errors import EngineFailed, ErrorReport, R1Error, WrongUsage
from deepseek_r1.core.events import Bill, Event
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import (
    LEAST_BUDGET_MIB,
    LoadSettings,
    SamplingSettings,
    default_budget,
)
from deepseek_r1.hardware import cpu, machine_memory_mib
from deepseek_r1.host.client import EngineClient
from deepseek_r1.host.protocol import SetBudgetRequest, SetThreadsRequest
from deepseek_r1.memory import meter
from deepseek_r1.memory.advice import too_small

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model and the settings that it answers with. The budget is that of the comparison.

    `name` is for people.
    """

    model: Path
    load: LoadSettings = field(default_factory=LoadSettings)
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    system: str = ""
    chat_template: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class ComparisonPlanned:
    """The first event: the bill of each candidate, or why it is refused; and how they run."""

    bills: tuple[Bill | ErrorReport, ...]  # each with the whole budget
    together: bool
    together_mib: float  # what all that have a bill need at once
    memory_budget: int

    def text(self) -> str:
        """Returns how the candidates run, and what they take."""
        needed, budget = round(self.together_mib), self.memory_budget
        if self.together:
            return tr(
                "Together, in about {needed:,} of {budget:,} MiB.", needed=needed, budget=budget
            )
        if len(self.bills) == 1:
            return tr("In about {needed:,} of {budget:,} MiB.", needed=needed, budget=budget)
        return tr("One after the other, each with all of {budget:,} MiB.", budget=budget)


@dataclass(frozen=True, slots=True)
class CandidateEvent:
    """An event of a candidate, by their places in the lists. Load events have question 0."""

    candidate: int
    question: int
    event: Event


@dataclass(frozen=True, slots=True)
class CandidateFailed:
    """A question has no answer of this candidate, or only the text that came before."""

    candidate: int
    question: int
    report: ErrorReport


@dataclass(frozen=True, slots=True)
class CandidateEnded:
    """The last event of a candidate, whose memory is free again."""

    candidate: int


ComparisonEvent = ComparisonPlanned | CandidateEvent | CandidateFailed | CandidateEnded


class Comparison:
    """One run. `events` may be iterated once; the other methods are for any thread."""

    def __init__(
        self,
        questions: Sequence[Sequence[Message]],
        candidates: Sequence[Candidate],
        *,
        memory_budget: int,
        window_mib: float = 0.0,
        command: Sequence[str] | None = None,
    ) -> None:
        """`memory_budget` and `window_mib`, the memory of the caller's own process, are MiB.

        `command` is the engine's command line, where it is not this installation's own.
        """
        if not questions or not candidates:
            raise WrongUsage(detail=tr("A comparison needs a question and a model."))
        self._questions = questions
        self._candidates = candidates
        self.memory_budget, self.window_mib = memory_budget, window_mib
        self._command = command
        self.planned = ComparisonPlanned((), False, 0.0, memory_budget)
        self._events: SimpleQueue[ComparisonEvent] = SimpleQueue()
        self._lock = threading.Lock()  # for the three below
        self._running: dict[int, EngineClient] = {}
        self._question: dict[int, int] = {}  # of those whose model is loaded
        self._cancelled: set[int] = set()

    def events(self) -> Iterator[ComparisonEvent]:
        """The plan, then the events of all candidates as they come. Leaving early ends them all."""
        left = len(self._candidates)
        with ThreadPoolExecutor(left, thread_name_prefix="candidate") as threads:
            try:
                self.planned = plan(self._candidates, self.memory_budget, self.window_mib)
                yield self.planned
                places = range(left)
                for turn in [[each] for each in places] if self.planned.together else [places]:
                    threads.submit(self._run, turn)
                while left:
                    event = self._events.get()
                    left -= isinstance(event, CandidateEnded)
                    yield event
            finally:
                self.cancel()

    @property
    def memory_mib(self) -> float:
        """Memory of the engines that run now, by their last heartbeats."""
        with self._lock:
            beats = [engine.heartbeat for engine in self._running.values()]
        return sum(beat.rss_mib for beat in beats if beat is not None)

    def cancel(self, *candidates: int) -> None:
        """End the answers of these candidates early, or of all; also before they have begun."""
        chosen = set(candidates or range(len(self._candidates)))
        with self._lock:
            self._cancelled |= chosen
            engines = [engine for each, engine in self._running.items() if each in chosen]
        for engine in engines:
            engine.cancel()

    def set_budget(self, memory_budget: int) -> None:
        """Change the budget. A candidate that runs and cannot keep it ends with the reason."""
        self.memory_budget = memory_budget
        with self._lock:
            loaded = {each: self._running[each] for each in self._question}
        for moved in loaded.items():
            threading.Thread(target=self._move_budget, args=moved).start()

    # ---- one candidate's thread ---------------------------------------------------------------

    def _run(self, turn: Sequence[int]) -> None:
        """Run candidates one after the other."""
        for index in turn:
            bill = self.planned.bills[index]
            try:
                if isinstance(bill, ErrorReport):
                    self._events.put(CandidateFailed(index, 0, bill))
                elif index not in self._cancelled:
                    self._answer_all(index, self._candidates[index])
            except R1Error as error:  # of the load
                self._fail(index, error)
            except Exception as bug:  # noqa: BLE001 - the others go on
                log.host.exception("a candidate ended")
                self._fail(index, EngineFailed(detail=f"{type(bug).__name__}: {bug}"))
            finally:
                self._events.put(CandidateEnded(index))

    def _answer_all(self, index: int, chosen: Candidate) -> None:
        with EngineClient(command=self._command) as engine, ExitStack() as stack:
            with self._lock:
                self._running[index] = engine
            stack.callback(self._leave, index)
            share = self._share(index)
            changes = {"memory_budget": share}
            if self.planned.together and not chosen.load.threads:
                threads = _threads_each(len(self._candidates))
                changes |= {"threads": threads, "threads_prefill": threads}
            engine.load(
                chosen.model,
                chosen.load.model_copy(update=changes),
                window_mib=self.window_mib,
                chat_template=chosen.chat_template,
                on_event=lambda event: self._hand_on(index, event),
            )
            with self._lock:
                self._question[index] = 0
            if self._share(index) != share:  # it was changed meanwhile
                self._move_budget(index, engine)
            if not self.planned.together:
                threading.Thread(target=self._read_ahead, args=(index,), daemon=True).start()
            system = [Message(role=Role.SYSTEM, content=chosen.system)] if chosen.system else []
            for question, messages in enumerate(self._questions):
                self._question[index] = question
                try:
                    self._answer(index, engine.generate([*system, *messages], chosen.sampling))
                except R1Error as error:
                    self._fail(index, error)

    def _answer(self, index: int, events: Iterator[Event]) -> None:
        if index in self._cancelled:
            return
        for event in events:
            self._hand_on(index, event)

    def _hand_on(self, index: int, event: Event) -> None:
        if index in self._cancelled:  # perhaps before the engine knew the request
            self._running[index].cancel()
        self._events.put(CandidateEvent(index, self._question.get(index, 0), event))

    def _leave(self, index: int) -> None:
        """Give the cores of a candidate that is done to those that still run together."""
        with self._lock:
            del self._running[index]
            self._question.pop(index, None)
            left = dict(self._running)
        for other, engine in left.items():
            if not self._candidates[other].load.threads:
                threads = _threads_each(len(left))
                engine.submit(SetThreadsRequest, threads=threads, threads_prefill=threads)

    def _fail(self, index: int, error: R1Error) -> None:
        if index not in self._cancelled:
            question = self._question.get(index, 0)
            self._events.put(CandidateFailed(index, question, error.report()))

    def _share(self, index: int) -> int:
        """The budget of a candidate: all of it, or its bill and an equal part of what is left.

        Where the bills do not fit any more, the first ones keep theirs.
        """
        if not self.planned.together:
            return self.memory_budget
        needs = _needs(self.planned.bills, self.window_mib)
        left = self.memory_budget - self.window_mib
        spare = max(0.0, left - sum(needs.values())) / len(needs)
        before = sum(need for place, need in needs.items() if place < index)
        return int(self.window_mib + min(needs[index] + spare, left - before))

    def _move_budget(self, index: int, engine: EngineClient) -> None:
        share, bill = self._share(index), self.planned.bills[index]
        try:
            if self.planned.together and isinstance(bill, Bill) and share < bill.total_mib:
                raise too_small(bill, max(0, share), tr("Compare fewer models at once."))
            for _bill in engine.submit(SetBudgetRequest, memory_budget=share).events():
                pass
        except R1Error as error:
            self._fail(index, error)
            self.cancel(index)

    def _read_ahead(self, index: int) -> None:
        """Read the next model's file into the memory that this one leaves free, while it runs.

        The system keeps it in its page cache, so that the next load takes less time. A model that
        runs from the disk is read past that cache.
        """
        bills = [each for each in self.planned.bills[index : index + 2] if isinstance(each, Bill)]
        if len(bills) < 2 or any(each.streams for each in bills):
            return
        free_mib, piece = int(self.memory_budget - bills[0].total_mib), bytearray(_MIB)
        path = self._candidates[index + 1].model
        with suppress(OSError), path.open("rb", buffering=0) as file:  # its load says what is wrong
            while free_mib > 0 and index in self._running and file.readinto(piece):
                free_mib -= 1


def plan(
    candidates: Sequence[Candidate], memory_budget: int, window_mib: float
) -> ComparisonPlanned:
    """Make the bills under the whole budget, and decide whether all run together."""
    bills: list[Bill | ErrorReport] = []
    with HeaderProcess() as headers:
        for each in candidates:
            settings = each.load.model_copy(update={"memory_budget": memory_budget})
            try:
                found = model_bill(headers, each.model, settings, window_mib, measure_disk=False)
                if not found.bill.fits:
                    raise too_small(found.bill, memory_budget, found.advice.text)
                bills.append(found.bill)
            except R1Error as refused:
                bills.append(refused.report())
    needs = _needs(bills, window_mib)
    needed_mib = window_mib + sum(needs.values())
    together = len(needs) > 1 and needed_mib <= memory_budget
    return ComparisonPlanned(tuple(bills), together, needed_mib, memory_budget)


def _needs(bills: Sequence[Bill | ErrorReport], window_mib: float) -> dict[int, float]:
    """MiB of each that has a bill, without the caller's process, which all of them share."""
    return {
        place: max(ceil(bill.total_mib), LEAST_BUDGET_MIB) - window_mib
        for place, bill in enumerate(bills)
        if isinstance(bill, Bill)
    }


def compare(
    questions: str | Sequence[str],
    candidates: Sequence[Candidate | str | Path],
    *,
    memory_budget: int | None = None,
    window_mib: float | None = None,
) -> Iterator[ComparisonEvent]:
    """Let several models answer the same questions, all within `memory_budget` MiB.

    A candidate is a model's file, or a `Candidate` with settings of its own. `window_mib` is the
    memory of this process, measured where it is None. A candidate that is refused or fails has a
    `CandidateFailed`, and the others go on. Leaving the iteration early ends all of them.
    """
    texts = [questions] if isinstance(questions, str) else questions
    comparison = Comparison(
        [[Message(role=Role.USER, content=text)] for text in texts],
        [each if isinstance(each, Candidate) else Candidate(Path(each)) for each in candidates],
        memory_budget=memory_budget or default_budget(machine_memory_mib()),
        window_mib=meter.process_mib(os.getpid()) if window_mib is None else window_mib,
    )
    return comparison.events()


def _threads_each(count: int) -> int:
    return max(1, cpu().usable_cores // count)
