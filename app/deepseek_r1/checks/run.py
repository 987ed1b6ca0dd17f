"""All checks, one after the other. A second or two: not for a thread that draws a window."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from deepseek_r1.checks import machine, places, processor, software
from deepseek_r1.checks.finding import Finding, Verdict
from deepseek_r1.core import log
from deepseek_r1.core.words import tr

_CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    processor.check,
    machine.check,
    places.check,
    software.check,
)


def examine() -> tuple[Finding, ...]:
    """Everything that was found. A check that fails is itself a finding."""
    findings: list[Finding] = []
    for check in _CHECKS:
        try:
            findings.extend(check())
        except OSError as error:
            log.host.warning("a check failed: %s", error)
            detail = error.strerror or str(error)
            findings.append(
                Finding(
                    "check", tr("A check"), tr("It could not be made: {detail}.", detail=detail),
                    Verdict.NOTE,
                )
            )  # fmt: skip
    return tuple(findings)
