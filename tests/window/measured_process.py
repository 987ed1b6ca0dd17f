"""A process that measures itself, spoken to in lines of JSON."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

TESTS = Path(__file__).resolve().parents[1]
Fact = dict[str, Any]


class MeasuredProcess:
    """Starts `python ARGUMENTS`; a context manager that ends it."""

    def __init__(self, arguments: list[str], env: Mapping[str, str] | None = None) -> None:
        path = os.pathsep.join([str(TESTS.parent / "app"), str(TESTS)])
        own = {**os.environ, "QT_QPA_PLATFORM": platform()} if env is None else env
        self.started_at = time.monotonic()
        self.popen = subprocess.Popen(
            [sys.executable, *arguments],
            env={**own, "PYTHONPATH": path},
            cwd=TESTS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self.popen.pid

    def tell(self, do: str, **facts: object) -> None:
        """Send a command."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(json.dumps({"do": do, **facts}) + "\n")
        self.popen.stdin.flush()

    def hear(self, *wanted: str) -> Fact:
        """The next fact of a wanted kind; whatever comes before it is dropped."""
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            fact: Fact = json.loads(line)
            if fact["event"] == "failed" and "failed" not in wanted:
                raise RuntimeError(fact["text"])
            if fact["event"] in wanted:
                return fact
        raise RuntimeError(f"it ended ({self.popen.wait()}) before {' or '.join(wanted)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.close()
        try:
            self.popen.wait(10 if kind is None else 0.1)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        assert self.popen.stdout is not None
        self.popen.stdout.close()


def platform() -> str:
    """Qt's platform: the screen there is, else none."""
    chosen = os.environ.get("QT_QPA_PLATFORM")
    return chosen or ("xcb" if os.environ.get("DISPLAY") else "offscreen")
