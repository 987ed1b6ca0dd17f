"""Runs a measurement in a child process, because a model's file is untrusted: the parent's side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from deepseek_r1.core.child_call import ChildCall, ChildDied
from deepseek_r1.core.errors import EngineDied
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.lab.quality.quality_messages import (
    Collect,
    Collected,
    Evaluate,
    Measurement,
    reply_adapter,
)

_DETAIL_CHARACTERS: Final = 400

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Launch:
    """The environment and the options of Popen for the child process."""

    environment: Mapping[str, str]
    options: Mapping[str, Any]


def run_request(
    request: Evaluate | Collect, launch: Launch, on_progress: OnProgress
) -> Measurement | Collected:
    """Start the process, send it one request, and wait for its reply.

    Raises what the process reports, EngineDied if it ends without a reply, ProtocolBroken.
    The process ends with this call, also after an exception.
    """
    child = ChildCall(
        ChildKind.MEASUREMENT,
        reply_adapter,
        environment=launch.environment,
        options=launch.options,
    )
    with child:
        try:
            result: Measurement | Collected = child.ask(
                request, on_progress=lambda progress: on_progress(progress.done, progress.total)
            )
        except ChildDied as died:
            detail = died.stderr.strip()[-_DETAIL_CHARACTERS:]
            raise EngineDied(how=_exit_text(died.returncode), detail=detail) from died
    return result


def _exit_text(returncode: int) -> str:
    if returncode < 0:
        return tr("signal {number}", number=-returncode)
    return tr("exit code {number}", number=returncode)
