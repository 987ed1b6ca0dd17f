"""A program on a pseudo terminal, driven as a person drives it."""

import codecs
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from support.patience import PATIENCE_S


class Terminal:
    """A running program; `output` is all that it has written."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.near, far = os.openpty()
        self.process = subprocess.Popen(
            command,
            stdin=far,
            stdout=far,
            stderr=far,
            env=dict(environment) | {"TERM": "dumb"},
            start_new_session=True,
        )
        os.close(far)
        os.set_blocking(self.near, False)
        self.output = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read(self) -> None:
        try:
            # A read may end inside a character.
            self.output += self._decoder.decode(os.read(self.near, 65_536))
        except (BlockingIOError, OSError):
            time.sleep(0.02)

    def wait_for(self, text: str, after: int = 0, seconds: float = PATIENCE_S) -> int:
        end = time.monotonic() + seconds
        while text not in self.output[after:]:
            assert time.monotonic() < end, f"no {text!r} in {self.output[-2000:]!r}"
            self.read()
        return self.output.index(text, after) + len(text)

    def wait_for_more(self, characters: int, seconds: float = PATIENCE_S) -> None:
        end, before = time.monotonic() + seconds, len(self.output)
        while len(self.output) < before + characters:
            assert time.monotonic() < end, self.output[-2000:]
            self.read()

    def type(self, text: str) -> None:
        os.write(self.near, text.encode())

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def ended(self) -> int:
        end = time.monotonic() + PATIENCE_S
        while self.process.poll() is None and time.monotonic() < end:
            self.read()
        self.read()  # what it wrote last
        return self.process.wait(timeout=PATIENCE_S)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.near)


@contextmanager
def on_terminal(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[Terminal]:
    """The program on a terminal of its own; killed if it still runs at the end."""
    terminal = Terminal(command, environment)
    try:
        yield terminal
    finally:
        terminal.close()
