"""Compares models: several of them answer the same questions inside one memory budget.

Each model has an engine process of its own, which ends after its last answer. They run together
where the sum of their bills fits the budget; else one after the other. Each has the bill of the
whole budget: what it needs, it needs beside others too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue

from deepseek_r1.catalogue.header_process import HeaderProcess
from deepseek_r1.core import log
from deepseek_r1.core.errors import EngineFailed, ErrorReport, R1Error, WrongUsage
from deepseek_r1.core.events import Bill, Event
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import LoadSettings, SamplingSettings, default_budget
from deepseek_r1.core.units import in_sentence
from deepseek_r1.hardware import machine_memory_mib
from deepseek_r1.host.client import EngineClient
from deepseek_r1.memory import meter
from deepseek_r1.memory.advice import too_small
from deepseek_r1.memory.forecast import model_bill


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model and the settings that it answers with. The budget is that of the comparison."""

    model: str | Path
    load: LoadSettings = field(default_factory=LoadSettings)
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    system: str = ""
    chat_template: str = ""
    name: str = ""  # for people


@dataclass(frozen=True, slots=True)
class ComparisonPlanned:
    """The first event: the bill of each candidate, or why it is refused; and how they run."""

    bills: tuple[Bill | ErrorReport, ...]  # each with the whole budget
    together: bool
    together_mib: float  # what all that have a bill need at once
    memory_budget: int
    window_mib: float  # memory of the caller's own process

    def text(self) -> str:
        """Returns how the candidates run, and what they take."""
        budget, needed = in_sentence(self.memory_budget), in_sentence(self.together_mib)
        if not self.together:
            return tr("They take turns, each with all of {budget}.", budget=budget)
        return tr("They fit together: {needed} of {budget}.", needed=needed, budget=budget)


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


RunEvent = CandidateEvent | CandidateFailed | CandidateEnded
ComparisonEvent = ComparisonPlanned | RunEvent


class Comparison:
    """A planned run. `events` may be iterated once; the other methods are for any thread."""

    def __init__(
        self,
        questions: Sequence[Sequence[Message]],
        candidates: Sequence[Candidate],
        planned: ComparisonPlanned,
        command: Sequence[str] | None = None,
    ) -> None:
        """`command` is the engine's command line, where it is not this installation's own."""
        self._questions, self._candidates, self._planned = questions, candidates, planned
        self.memory_budget, self.window_mib = planned.memory_budget, planned.window_mib
        self._engines = [EngineClient(command=command) for _ in candidates]
        self._running: dict[int, Bill] = {}
        self._question = [0] * len(candidates)  # that each answers
        self._cancelled: set[int] = set()
        self._events: SimpleQueue[RunEvent] = SimpleQueue()

    def events(self) -> Iterator[RunEvent]:
        """The events of all candidates as they come. Leaving early ends them all."""
        left = len(self._candidates)
        if self._planned.together:  # the budget counts all of them, before they have begun too
            bills = enumerate(self._planned.bills)
            self._running = {index: bill for index, bill in bills if isinstance(bill, Bill)}
            grown_mib = self.window_mib - self._planned.window_mib
            if self._planned.together_mib + grown_mib > self.memory_budget:  # it was lowered
                self._planned, self._running = replace(self._planned, together=False), {}
        with ThreadPoolExecutor(left if self._planned.together else 1) as threads:
            try:
                for index in range(left):
                    threads.submit(self._run, index)
                while left:
                    event = self._events.get()
                    left -= isinstance(event, CandidateEnded)
                    yield event
            finally:
                self.cancel()

    @property
    def memory_mib(self) -> float:
        """Memory of the engines that run now, by their last heartbeats."""
        beats = [self._engines[each].heartbeat for each in tuple(self._running)]
        return sum(beat.rss_mib for beat in beats if beat is not None)

    def cancel(self, *candidates: int) -> None:
        """End the answers of these candidates early, or of all; also before they have begun."""
        for index in candidates or range(len(self._candidates)):
            self._cancelled.add(index)
            self._engines[index].cancel()

    def end_thinking(self, candidate: int) -> None:
        """Close the thinking block of a candidate's answer, which goes on."""
        self._engines[candidate].end_thinking()

    def set_budget(self, memory_budget: int) -> None:
        """Change the budget. Candidates that run and do not fit any more end with the reason."""
        lowered, self.memory_budget = memory_budget < self.memory_budget, memory_budget
        needed_mib = self.window_mib
        for index, bill in sorted(self._running.items()) if lowered else ():
            needed_mib += bill.total_mib - self._planned.window_mib
            if needed_mib > memory_budget:
                left_mib = max(0, int(memory_budget - needed_mib + bill.total_mib))
                advice = tr("Compare them again with this budget.")
                self._fail(index, too_small(bill, left_mib, advice))
                self.cancel(index)

    # ---- one candidate's thread ---------------------------------------------------------------

    def _run(self, index: int) -> None:
        try:
            if isinstance(bill := self._planned.bills[index], ErrorReport):
                raise bill.error
            if index not in self._cancelled:
                with self._engines[index] as engine:
                    self._running[index] = bill
                    self._answer_all(index, engine)
        except R1Error as error:  # of the load
            self._fail(index, error)
        except Exception as bug:  # noqa: BLE001 - the others go on
            log.host.exception("a candidate ended")
            self._fail(index, EngineFailed(detail=f"{type(bug).__name__}: {bug}"))
        finally:
            self._running.pop(index, None)
            self._events.put(CandidateEnded(index))

    def _answer_all(self, index: int, engine: EngineClient) -> None:
        chosen = self._candidates[index]
        budget = min(self.memory_budget, self._planned.memory_budget)  # more is not in the bill
        engine.load(
            Path(chosen.model),
            chosen.load.model_copy(update={"memory_budget": budget}),
            window_mib=self.window_mib,
            chat_template=chosen.chat_template,
            on_event=lambda event: self._hand_on(index, event),
        )
        for question, messages in enumerate(self._questions):
            if index in self._cancelled:
                break
            self._question[index] = question
            try:
                asked = _instructed(messages, chosen.system)
                for event in engine.generate(asked, chosen.sampling):
                    self._hand_on(index, event)
            except R1Error as error:
                self._fail(index, error)

    def _hand_on(self, index: int, event: Event) -> None:
        if index in self._cancelled:  # perhaps before the engine knew the request
            self._engines[index].cancel()
        self._events.put(CandidateEvent(index, self._question[index], event))

    def _fail(self, index: int, error: R1Error) -> None:
        if index not in self._cancelled:
            self._events.put(CandidateFailed(index, self._question[index], error.report()))


def _instructed(messages: Sequence[Message], system: str) -> list[Message]:
    """The messages after a candidate's instructions, which stand behind what all are given."""
    given = [each.content for each in messages[:1] if each.role is Role.SYSTEM]
    texts = [text for text in (*given, system) if text]
    first = [Message(role=Role.SYSTEM, content="\n\n".join(texts))] if texts else []
    return [*first, *messages[len(given) :]]


def plan(candidates: Sequence[Candidate], budget_mib: int, window_mib: float) -> ComparisonPlanned:
    """Make the bills under the whole budget, and decide whether all run together."""
    bills: list[Bill | ErrorReport] = []
    with HeaderProcess() as headers:
        for each in candidates:
            settings = each.load.model_copy(update={"memory_budget": budget_mib})
            try:
                found = model_bill(
                    headers.read_header, Path(each.model), settings, window_mib, measure_disk=False
                )
                if not found.bill.fits:
                    raise too_small(found.bill, budget_mib, found.advice.text)
                bills.append(found.bill)
            except R1Error as refused:
                bills.append(refused.report())
    needs_mib = [each.total_mib - window_mib for each in bills if isinstance(each, Bill)]
    needed_mib = window_mib + sum(needs_mib)
    together = len(bills) > 1 and needed_mib <= budget_mib
    return ComparisonPlanned(tuple(bills), together, needed_mib, budget_mib, window_mib)


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
    chosen = [each if isinstance(each, Candidate) else Candidate(each) for each in candidates]
    if not texts or not chosen:
        raise WrongUsage(detail=tr("A comparison needs a question and a model."))
    budget = memory_budget or default_budget(machine_memory_mib())
    own_mib = meter.process_mib(os.getpid()) if window_mib is None else window_mib
    asked = [[Message(role=Role.USER, content=text)] for text in texts]
    yield (planned := plan(chosen, budget, own_mib))
    yield from Comparison(asked, chosen, planned).events()
