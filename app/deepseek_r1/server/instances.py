"""Runs several servers on one address, each with its own engine and its share of one budget.

Every instance accepts connections from the common socket, and listens at a port of its own as well,
for a gateway before them. One that ends by itself is started again.

`main` is an instance's process: it reads its options, a frame, from standard input and finds its
sockets by their descriptors. The pipe stays open as long as the supervisor runs: the instance ends
with it, also after a kill.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from pydantic import TypeAdapter

from deepseek_r1.core import frames
from deepseek_r1.core.errors import R1Error, WrongUsage
from deepseek_r1.core.i18n import N_, tr
from deepseek_r1.core.processes import ChildKind, child_command, child_environment
from deepseek_r1.core.settings import LEAST_BUDGET_MIB
from deepseek_r1.hardware import cpu
from deepseek_r1.native.child_start import end_with_owner
from deepseek_r1.server.serve_options import ServeOptions
from deepseek_r1.server.serving import END_S, address_of, ending_signals, listen, serve_on

SUPERVISOR_MIB = 48  # of this process, measured
MAX_INSTANCES = 64
SHORT_RUN_S = 30.0  # an instance that ends earlier counts as a failed start
MAX_FAILED_STARTS = 4
PAUSE_S = 3.0  # before another start
_POLL_S = 0.2
_KILL_S = END_S + 5.0  # after the drain
_REFUSED = (2, 3)  # exit statuses that another start would not change


class InstanceStart(frames.PipeMessage):
    """The options of an instance and the descriptors of its sockets."""

    options: ServeOptions
    descriptors: tuple[int, ...]


class InstanceFailed(R1Error):
    """An instance ends again and again, or cannot start at all."""

    what = N_("Instance {number} of the server ended with status {status}.")
    todo = N_("Its own message is above.")
    exit_code = 4


class InstanceSupervisor:
    """Starts the instances and keeps them running until a signal ends it. For the main thread."""

    def __init__(
        self, options: ServeOptions, count: int, on_listening: Callable[[str], None]
    ) -> None:
        """Listen. Raises WrongUsage for a count, a budget or an address that cannot be used."""
        if sys.platform == "win32":
            raise WrongUsage(detail=tr("Several instances are not supported on Windows."))
        options.check()
        self._share = share_of(options, count)
        self._ending = threading.Event()
        self._failure: R1Error | OSError | None = None
        self._common = listen(options.host, options.port)
        on_listening(address_of(self._common))
        port = self._common.getsockname()[1]
        self._own: list[socket.socket] = []
        for number in range(1, count + 1):
            self._own.append(listen(options.host, port + number if options.port else 0))
            on_listening(address_of(self._own[-1]))

    def run(self) -> None:
        """Keep the instances running. Raises InstanceFailed, OSError."""
        threads = [
            threading.Thread(target=self._keep, args=each) for each in enumerate(self._own, 1)
        ]
        with ending_signals(self._ending.set):
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        for listening in (self._common, *self._own):
            listening.close()
        if self._failure is not None:
            raise self._failure

    def _keep(self, number: int, own: socket.socket) -> None:
        """Start an instance whenever it has ended by itself, in a thread of its own."""
        failed_starts = 0
        while not self._ending.is_set():
            began_at = time.monotonic()
            try:
                status = self._run_once((self._common.fileno(), own.fileno()))
            except OSError as error:
                self._failure = error
                self._ending.set()
            if self._ending.is_set():
                return
            short = time.monotonic() - began_at < SHORT_RUN_S
            failed_starts = failed_starts + 1 if short else 0
            if status in _REFUSED or failed_starts > MAX_FAILED_STARTS:
                self._failure = InstanceFailed(number=number, status=status)
                self._ending.set()
            self._ending.wait(PAUSE_S)

    def _run_once(self, descriptors: tuple[int, ...]) -> int:
        """Run an instance until it ends, or drain it when all end; return its exit status."""
        with subprocess.Popen(
            child_command(ChildKind.INSTANCE),
            env=child_environment(),
            stdin=subprocess.PIPE,  # left open: the instance ends when this process does
            pass_fds=descriptors,
            start_new_session=True,  # Ctrl-C in a terminal reaches this process only
        ) as process:
            assert process.stdin is not None  # noqa: S101 - requested above
            start = InstanceStart(options=self._share, descriptors=descriptors)
            with suppress(BrokenPipeError):  # its exit status says more
                process.stdin.write(frames.pack(start, frames.TO_CHILD_CAP))
                process.stdin.flush()
            while process.poll() is None:
                if self._ending.wait(_POLL_S):
                    process.terminate()
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(self._share.drain_s + _KILL_S)
                    process.kill()
                    process.wait()
            return process.returncode


def share_of(options: ServeOptions, count: int) -> ServeOptions:
    """Return the options of one of `count` instances, with its share of the budget and the cores.

    Raises WrongUsage where the share is too small.
    """
    if not 1 <= count <= MAX_INSTANCES:
        raise WrongUsage(detail=tr("--instances takes 1 to {n}.", n=MAX_INSTANCES))
    budget = (options.settings.memory_budget - SUPERVISOR_MIB) // count
    if budget < LEAST_BUDGET_MIB:
        raise WrongUsage(
            detail=tr(
                "{n} instances in {budget} MiB have {share} MiB each, and need at least {least}.",
                n=count,
                budget=options.settings.memory_budget,
                share=budget,
                least=LEAST_BUDGET_MIB,
            )
        )
    threads = max(1, cpu().usable_cores // count)
    changes = {
        "memory_budget": budget,
        "threads": options.settings.threads or threads,
        "threads_prefill": options.settings.threads_prefill or threads,
    }
    settings = options.settings.model_copy(update=changes)
    return options.model_copy(update={"settings": settings, "keeps_files": count == 1})


def main() -> None:
    """Serve until a signal ends the process; the exit status is the error's."""
    body = frames.read(os.fdopen(0, "rb", buffering=0, closefd=False), frames.TO_CHILD_CAP)
    if body is None:  # the supervisor has ended
        return
    end_with_owner(0)
    start = frames.parse(body, TypeAdapter(InstanceStart))
    listening = [socket.socket(fileno=descriptor) for descriptor in start.descriptors]
    try:
        serve_on(listening, start.options)
    except R1Error as error:
        print(error, file=sys.stderr, flush=True)  # noqa: T201 - the owner's terminal
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
