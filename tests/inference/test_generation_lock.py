"""One answer at a time, and short work between two answers."""

import threading
import time

import pytest

from deepseek_r1.core.errors import EngineBusy
from deepseek_r1.inference.generation import GenerationLock
from support.patience import PATIENCE_S


def test_work_between_answers_holds_an_answer_up_and_does_not_refuse_it():
    turns, inside, go_on = GenerationLock(), threading.Event(), threading.Event()

    def settle() -> None:
        with turns.idle() as free:
            assert free
            inside.set()
            go_on.wait(PATIENCE_S)

    worker = threading.Thread(target=settle)
    worker.start()
    inside.wait(PATIENCE_S)
    threading.Timer(0.05, go_on.set).start()
    turns.require_free()
    with turns.generating(), turns.idle() as free:
        assert not free
    worker.join()


def test_one_answer_at_a_time():
    turns = GenerationLock()
    with turns.generating():
        with pytest.raises(EngineBusy):
            turns.require_free()
        with pytest.raises(EngineBusy), turns.generating():
            pass
        with pytest.raises(EngineBusy), turns.generating(0.01):
            pass
    with turns.generating(0.0):
        pass


def test_in_a_queue_answers_come_in_the_order_of_their_calls():
    lock, order = GenerationLock(queue=True), []

    def answer(number: int) -> None:
        with lock.generating():
            order.append(number)

    threads = []
    with lock.generating():
        for number in range(5):
            threads.append(threading.Thread(target=answer, args=(number,)))
            threads[-1].start()
            while len(lock._waiting) <= number:
                time.sleep(0.001)
        assert order == []
    for thread in threads:
        thread.join(PATIENCE_S)
    assert order == [0, 1, 2, 3, 4]


def test_a_thread_in_a_queue_does_not_wait_for_itself():
    lock = GenerationLock(queue=True)
    with lock.generating(), pytest.raises(EngineBusy), lock.generating():
        pass
