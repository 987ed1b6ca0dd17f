"""Checks this computer for problems in running a model.

It takes one or two seconds: call it outside the window's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from deepseek_r1.checks.computer import check_memory, check_processor
from deepseek_r1.checks.finding import Finding, Severity, worst
from deepseek_r1.checks.installation import check_drives, check_software
from deepseek_r1.core import log
from deepseek_r1.core.i18n import tr

__all__ = ["Finding", "Severity", "examine", "worst"]

_CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    check_processor,
    check_memory,
    check_drives,
    check_software,
)


def examine() -> tuple[Finding, ...]:
    """Returns all findings. A check that fails is itself a finding."""
    findings: list[Finding] = []
    for check in _CHECKS:
        try:
            findings.extend(check())
        except OSError as error:
            log.host.warning("a check failed: %s", error)
            value = tr("It failed: {detail}.", detail=error.strerror or str(error))
            findings.append(Finding("check", tr("A check"), value, Severity.NOTE))
    return tuple(findings)
