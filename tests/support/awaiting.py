"""Awaits, in a test, what a task of the window would await."""

from collections.abc import Awaitable
from typing import TypeVar

from PySide6.QtCore import QCoreApplication, QObject

from r1desk.platform.tasks import Later, Tasks
from support.patience import wait_until

Result = TypeVar("Result")


def begun(awaited: Awaitable[Result], owner: QObject) -> Later[Result]:
    """Begin to await this; what is returned has the result, or the error."""
    results: Later[Result] = Later()

    async def wait() -> None:
        results.give(await awaited)

    Tasks(owner, results.end).start(wait())
    return results


def result_of(awaited: Awaitable[Result]) -> Result:
    """The result, once it is there. Raises the error in its place."""
    found: list[Result] = []
    failed: list[Exception] = []

    async def wait() -> None:
        found.append(await awaited)

    def is_over() -> bool:
        QCoreApplication.processEvents()
        return bool(found or failed)

    owner = QObject()
    Tasks(owner, failed.append).start(wait())
    wait_until(is_over)
    if failed:
        raise failed[0]
    return found[0]
