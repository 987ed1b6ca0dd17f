"""When what is measured stays over the budget: how much more of it the window has to be given.

A bill is made when a model is loaded, with what the window takes then. The window grows afterwards,
with what it shows; a model that runs from the disk uses all the others leave it, and has to leave
more. What lasts a moment only, as measuring the drive does, is no reason to move weights.
"""

from __future__ import annotations

LASTING_S = 3.0
SETTLING_S = 10.0  # a pass of a large model, after which fewer weights are in memory
MARGIN_MIB = 4.0  # taken along with the excess, so that the next icon does not start it again


class Overdraft:
    """Watches one reading after the other."""

    def __init__(self) -> None:
        self._since_s: float | None = None  # over the budget since then
        self._quiet_until_s = 0.0

    def take(self, app_mib: float, budget_mib: float, at_s: float) -> float:
        """MiB by which the window's share of the budget is too small; 0 where it is not."""
        excess_mib = app_mib - budget_mib
        if excess_mib <= 0 or at_s < self._quiet_until_s:
            self._since_s = None
            return 0.0
        if self._since_s is None:
            self._since_s = at_s
        if at_s - self._since_s < LASTING_S:
            return 0.0
        self._since_s, self._quiet_until_s = None, at_s + SETTLING_S
        return excess_mib + MARGIN_MIB
