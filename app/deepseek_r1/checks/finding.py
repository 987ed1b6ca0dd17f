"""One thing that was looked at, what was found, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How good or bad a finding is."""

    OK = "ok"
    NOTE = "note"  # worth knowing
    WARNING = "warning"  # slower or riskier than it could be
    PROBLEM = "problem"  # something does not work


@dataclass(frozen=True, slots=True)
class Finding:
    """`key` is for programs, the texts are for people. `todo` is empty where all is well."""

    key: str
    title: str
    value: str
    verdict: Verdict = Verdict.OK
    todo: str = ""


def worst(findings: Iterable[Finding]) -> Verdict:
    """The gravest verdict among them; OK where there are none."""
    order = list(Verdict)
    return max((f.verdict for f in findings), key=order.index, default=Verdict.OK)
