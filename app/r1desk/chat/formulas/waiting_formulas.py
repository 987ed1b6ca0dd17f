"""Formulas for a thread that may wait, as that of an export."""

from __future__ import annotations

import subprocess
from threading import Timer

from deepseek_r1.core.child_environment import background_options, child_command, child_environment
from deepseek_r1.core.processes import ChildKind
from r1desk.chat.formulas import MAX_REPLY, MAX_SOURCE, FormulaKey
from r1desk.chat.formulas.formula_layout import FormulaLayout, read_reply
from r1desk.chat.formulas.formula_service import FormulaService, request_line
from r1desk.platform.helper_processes import add_helper, remove_helper

_REPLY_S = 20.0  # a busy disk starts the child slowly
_MAX_FAILURES = 10


class WaitingFormulas(FormulaService):
    """A layout that is not known is set by a child process before it is returned."""

    def __init__(self) -> None:
        super().__init__()
        self._child: subprocess.Popen[bytes] | None = None
        self._failures = 0

    def layout(self, key: FormulaKey) -> FormulaLayout | None:
        """The layout of `key`; None where there is none."""
        if not self.is_settled(key):
            self._keep(key, self._set(key) if len(key.source) <= MAX_SOURCE else None)
        return super().layout(key)

    def stop(self) -> None:
        """Set no more formulas, and end a wait for one. Another thread may call this."""
        self._failures = _MAX_FAILURES
        if (child := self._child) is not None:
            child.kill()

    def end_child(self) -> None:
        """End the child process."""
        if self._child is not None:
            remove_helper(self._child.pid)
            self._child.kill()
            self._child.communicate()
            self._child = None

    def _set(self, key: FormulaKey) -> FormulaLayout | None:
        if self._failures >= _MAX_FAILURES:
            return None
        try:
            child = self._child = self._child or _started()
            assert child.stdin is not None  # noqa: S101 - for the type checker
            assert child.stdout is not None  # noqa: S101
            deadline = Timer(_REPLY_S, child.kill)
            deadline.start()
            try:
                child.stdin.write(request_line(1, key))
                child.stdin.flush()
                reply = child.stdout.readline(MAX_REPLY + 2)
            finally:
                deadline.cancel()
            return read_reply(reply, self.outlines)[1]
        except (OSError, ValueError):
            self._failures += 1
            self.end_child()
            return None


def _started() -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        child_command(ChildKind.FORMULAS),
        env=child_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        **background_options(),
    )
    add_helper(child.pid)
    return child
