"""The highest memory use since the model was loaded."""

from __future__ import annotations


class PeakMemory:
    """Follows the engine and the window apart, from the last `reset` on. All values in MiB."""

    def __init__(self) -> None:
        self.engine_mib = 0.0
        self.window_mib = 0.0
        self._process_peak_mib = 0.0  # of the engine's process, when `reset` was called
        self._latest_process_peak_mib = 0.0

    def reset(self) -> None:
        """Forget everything before now: another model, or another budget."""
        self.engine_mib = self.window_mib = 0.0
        self._process_peak_mib = self._latest_process_peak_mib

    def add_sample(self, engine_mib: float, window_mib: float) -> None:
        """Add a measurement of both processes."""
        self.engine_mib = max(self.engine_mib, engine_mib)
        self.window_mib = max(self.window_mib, window_mib)

    def add_process_peak(self, peak_mib: float) -> None:
        """Add the peak that the engine's process reports, which includes earlier models.

        It says something about this model only once it has risen since `reset`.
        """
        if peak_mib < self._latest_process_peak_mib:  # another process
            self._process_peak_mib = 0.0
        self._latest_process_peak_mib = peak_mib
        if peak_mib > self._process_peak_mib:
            self.engine_mib = max(self.engine_mib, peak_mib)
