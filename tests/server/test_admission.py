"""Clients take turns, a cancelled one leaves no gap, and a full queue refuses."""

import asyncio

import pytest

from deepseek_r1.core.errors import EngineBusy
from deepseek_r1.server.admission import FairQueue


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def three_requests():
    """A queue with one place, which the first of three of a client has until the event is set."""
    queue, go_on = FairQueue(1, 10), asyncio.Event()

    async def request():
        async with queue.place("a"):
            await go_on.wait()

    tasks = [asyncio.create_task(request()) for _ in range(3)]
    await settle()
    return queue, go_on, tasks


def test_clients_take_turns():
    async def main() -> list[str]:
        queue, order, go_on = FairQueue(1, 10), [], asyncio.Event()

        async def request(client: str) -> None:
            async with queue.place(client):
                order.append(client)
                await go_on.wait()

        tasks = [asyncio.create_task(request(client)) for client in "aaaab"]
        await settle()
        assert (queue.running, queue.waiting) == (1, 4)
        go_on.set()
        await asyncio.gather(*tasks)
        assert (queue.running, queue.waiting) == (0, 0)
        return order

    assert asyncio.run(main()) == ["a", "a", "b", "a", "a"]


def test_a_request_that_is_cancelled_while_it_waits_leaves_no_gap():
    async def main() -> None:
        queue, go_on, (first, second, third) = await three_requests()
        second.cancel()
        await settle()
        assert (queue.running, queue.waiting) == (1, 1)
        go_on.set()
        await asyncio.gather(first, third)
        assert (queue.running, queue.waiting) == (0, 0)

    asyncio.run(main())


def test_a_place_that_comes_at_the_moment_of_the_cancellation_is_given_on():
    async def main() -> None:
        queue, go_on, (first, second, third) = await three_requests()
        first.cancel()
        await asyncio.sleep(0)  # the first leaves: the second has its place, and does not know yet
        second.cancel()
        await settle()
        assert (queue.running, queue.waiting) == (1, 0)
        go_on.set()
        await third

    asyncio.run(main())


def test_a_full_queue_refuses():
    async def main() -> None:
        queue = FairQueue(1, 0)
        async with queue.place("a"):
            assert queue.full
            with pytest.raises(EngineBusy):
                async with queue.place("b"):
                    pass
        assert not queue.full

    asyncio.run(main())
