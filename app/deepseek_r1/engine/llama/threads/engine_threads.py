"""The thread counts of one engine: chosen ones, or automatic ones that a governor adapts."""

from __future__ import annotations

from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.engine.llama.threads.threads import OtherProcessesLoad, ThreadGovernor
from deepseek_r1.hardware import default_threads, default_threads_prefill


class EngineThreads:
    """Pairs of counts, for decode and for prefill.

    `set` is for any thread, the rest for the computing thread.
    """

    def __init__(self, settings: LoadSettings, automatic: tuple[int, int] | None) -> None:
        """`automatic` are the measured counts for this model; None takes the processor's."""
        self._automatic = automatic or (default_threads(), default_threads_prefill())
        self._adaptive = ThreadGovernor(self._automatic[0], OtherProcessesLoad())
        self.set(settings.threads, settings.threads_prefill)
        self.applied = self._wanted  # to the contexts

    @property
    def counts(self) -> tuple[int, int]:
        """The counts in force with the next token at the latest, none of them 0."""
        governor, wanted = self.governor, self._wanted
        return (wanted[0] if governor is None else governor.count), wanted[1]

    def set(self, threads: int, threads_prefill: int) -> None:
        """Choose counts, 0 is automatic. From any thread."""
        self._wanted = threads or self._automatic[0], threads_prefill or self._automatic[1]
        self.governor = self._adaptive if threads == 0 else None  # chosen counts have none

    def set_automatic(self, threads: int, threads_prefill: int) -> None:
        """Choose the measured counts; the governor starts anew below them. Between two answers."""
        self._automatic = threads, threads_prefill
        self._adaptive = ThreadGovernor(threads, OtherProcessesLoad())
        self.set(0, 0)

    def begin_answer(self, now_s: float) -> None:
        """Let the governor measure other programs' load from here on."""
        self._adaptive.begin(now_s)

    def changed(
        self, governor: ThreadGovernor | None, *, in_background: bool
    ) -> tuple[int, int] | None:
        """Return the counts to apply before the next computation; None where they are in force.

        `governor` has the count for decode, if given. `in_background`: half the threads for
        prefill, since the user is doing something else.
        """
        wanted = self._wanted
        if governor is not None:
            wanted = governor.count, wanted[1]
        if in_background:
            wanted = wanted[0], max(1, wanted[1] // 2)
        if wanted == self.applied:
            return None
        self.applied = wanted
        return wanted
