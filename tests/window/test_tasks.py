"""Work that waits for results: in its order, with its errors, and never after its owner."""

import threading

import pytest
from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot
from shiboken6 import delete

from deepseek_r1.core.errors import EngineFailed, ModelFileMissing
from r1desk.platform.background_thread import ask_in_background
from r1desk.platform.tasks import Later, Tasks, cancel_everything, newest_task


class Reader(QObject):
    """Waits for what a test gives it."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[Exception] = []
        self.tasks = Tasks(self, self.refused.append)
        self.pages: Later[str] = Later()
        self.log: list[str] = []

    async def read(self) -> None:
        self.log.append("begun")
        try:
            self.log.append(await self.pages)
        finally:
            self.log.append("over")


@pytest.fixture
def reader(qtbot: QtBot) -> Reader:
    return Reader()


def test_work_goes_on_where_it_waited_and_at_once_where_a_result_is_there(reader):
    reader.tasks.start(reader.read())
    assert reader.log == ["begun"]
    reader.pages.give("a page")
    assert reader.log == ["begun", "a page", "over"]
    reader.pages.give("another")
    reader.tasks.start(reader.read())
    assert reader.log[3:] == ["begun", "another", "over"]


def test_an_error_is_met_where_the_result_is_awaited_and_else_told(reader):
    reader.tasks.start(reader.read())
    error = ModelFileMissing(path="gone.gguf")
    reader.pages.end(error)
    assert reader.log == ["begun", "over"]
    assert reader.refused == [error]


def test_what_is_cancelled_never_comes_back(reader):
    reader.tasks.start(work := reader.read())
    reader.tasks.cancel(work)
    assert reader.log == ["begun", "over"]
    reader.pages.give("too late")
    reader.tasks.cancel(work)
    assert reader.log == ["begun", "over"]


def test_nothing_comes_back_to_an_owner_that_has_gone(reader):
    reader.tasks.start(reader.read())
    delete(reader)
    reader.pages.give("too late")
    assert reader.log == ["begun", "over"]


def test_work_in_a_thread_is_awaited_with_its_result_or_its_error(qtbot: QtBot, reader):
    def fail() -> None:
        raise ModelFileMissing(path="gone.gguf")

    async def both() -> None:
        reader.log.append(await ask_in_background(lambda: "done"))
        await ask_in_background(fail)

    reader.tasks.start(both())
    qtbot.waitUntil(lambda: bool(reader.refused))
    assert reader.log == ["done"]
    assert isinstance(reader.refused[0], ModelFileMissing)


@pytest.mark.parametrize("ends", ["with a result", "with its owner"])
def test_a_thread_gets_what_the_main_thread_awaits_also_where_that_closes(qtbot, reader, ends):
    found: list[object] = []

    async def page() -> str:
        return await reader.pages

    def wait() -> None:
        try:
            found.append(reader.tasks.result_of(page()))
        except EngineFailed as closed:
            found.append(type(closed))

    thread = threading.Thread(target=wait)
    thread.start()
    qtbot.waitUntil(lambda: bool(reader.tasks._running))
    if ends == "with a result":
        reader.pages.give("a page")
    else:
        reader.tasks.close()
    qtbot.waitUntil(lambda: bool(found))
    thread.join()
    assert found == (["a page"] if ends == "with a result" else [EngineFailed])
    if ends == "with its owner":
        with pytest.raises(EngineFailed):
            reader.tasks.result_of(page())


def test_results_come_one_by_one_also_those_that_their_receiver_causes(reader):
    async def read_all() -> None:
        async for page in reader.pages:
            reader.log.append(page)
            if page == "first":
                reader.pages.give("second")
        reader.log.append("over")

    reader.tasks.start(read_all())
    reader.pages.give("first")
    reader.pages.give("third")
    reader.pages.end()
    assert reader.log == ["first", "second", "third", "over"]


class Clerk(Reader):
    """Has a method of which one is under way at a time."""

    @newest_task
    async def fetch(self, page: str) -> None:
        try:
            await self.pages
            self.log.append(page)
        finally:
            self.log.append(f"{page} is over")


def test_the_newest_of_a_method_takes_the_place_of_the_one_before(qtbot: QtBot):
    clerk = Clerk()
    clerk.fetch("one")
    clerk.fetch("two")
    clerk.pages.give("a page")
    assert clerk.log == ["one is over", "two", "two is over"]
    clerk.fetch("three")
    clerk.tasks.end(clerk.fetch)
    assert clerk.log[3:] == ["three is over"]


def test_nothing_is_under_way_once_the_application_ends(reader):
    reader.tasks.start(reader.read())
    cancel_everything()
    assert reader.log == ["begun", "over"]
