"""Checks this computer for problems in running a model."""

from __future__ import annotations

from deepseek_r1.checks.finding import Finding, Severity, worst
from deepseek_r1.checks.run import examine

__all__ = ["Finding", "Severity", "examine", "worst"]
