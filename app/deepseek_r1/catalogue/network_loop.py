"""Runs network code in an event loop of its own, so that a stop interrupts every wait."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from deepseek_r1.catalogue.checksums import Stop
from deepseek_r1.catalogue.errors import DownloadStopped

Result = TypeVar("Result")


def run_until_stopped(work: Coroutine[None, None, Result], stop: Stop, file: str) -> Result:
    """Run `work` in a loop of its own until it ends or `stop` is requested; returns its result.

    The loop is closed without waiting for its threads: a DNS look-up may take long. Raises
    DownloadStopped, which names `file`.
    """
    loop = asyncio.new_event_loop()
    task = loop.create_task(work)
    stop.set_wake(lambda: loop.call_soon_threadsafe(task.cancel))
    try:
        return loop.run_until_complete(task)
    except asyncio.CancelledError as cancelled:
        raise DownloadStopped(file=file) from cancelled
    except KeyboardInterrupt:
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        raise
    finally:
        stop.set_wake(None)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
