"""What may be wrong with this computer, as seen by somebody who wants to run a model on it."""

from __future__ import annotations

from deepseek_r1.checks.finding import Finding, Verdict, worst
from deepseek_r1.checks.run import examine

__all__ = ["Finding", "Verdict", "examine", "worst"]
