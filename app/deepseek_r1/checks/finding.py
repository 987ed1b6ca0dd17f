"""The result of one check."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum


class Severity(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    NOTE = "note"  # worth knowing
    WARNING = "warning"  # slower or riskier than it could be
    PROBLEM = "problem"  # something does not work


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `key` is for programs, the texts are for people. `todo` may be empty."""

    key: str
    title: str
    value: str
    verdict: Severity = Severity.OK
    todo: str = ""

    def where(self, condition: bool, verdict: Severity, todo: str) -> Finding:
        """Return it with this verdict where `condition` holds and no earlier one did."""
        trouble = condition and self.verdict is Severity.OK
        return replace(self, verdict=verdict, todo=todo) if trouble else self


def worst(findings: Iterable[Finding]) -> Severity:
    """Returns the highest severity, OK without findings."""
    order = list(Severity)
    return max((f.verdict for f in findings), key=order.index, default=Severity.OK)
