"""Taking turns: one holder at a time, in the order of arrival, and no thread waits forever."""

from __future__ import annotations

import threading
import time

import pytest

from hydra_resolver.verbs import write_queue as turn_module
from hydra_resolver.verbs.write_queue import WriteQueue

from ..support.waiting import PATIENCE, wait_until


@pytest.fixture
def long_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep turns from ending while the test waits for something else."""
    monkeypatch.setattr(turn_module, "TURN_SECONDS", 2 * PATIENCE)


@pytest.mark.usefixtures("long_turns")
def test_turns_are_taken_in_the_order_of_arrival() -> None:
    turn, order = WriteQueue(), []

    def take(name: int) -> None:
        with turn.taken():
            order.append(name)

    threads = []
    with turn.taken():
        for name in range(5):
            threads.append(threading.Thread(target=take, args=[name]))
            threads[-1].start()
            wait_until(lambda: len(turn._waiting) == len(threads))
        assert order == []
    for thread in threads:
        thread.join(PATIENCE)
    assert order == list(range(5))


@pytest.mark.usefixtures("long_turns")
def test_a_turn_that_was_given_up_can_be_taken() -> None:
    turn = WriteQueue()
    with turn.taken() as give_up:
        give_up()
        began = time.monotonic()
        with turn.taken():
            assert time.monotonic() - began < PATIENCE


def test_a_long_turn_keeps_no_thread_waiting_forever() -> None:
    turn = WriteQueue()
    with turn.taken():
        for _ in range(3):
            with turn.taken():
                pass
    with turn.taken():
        pass
