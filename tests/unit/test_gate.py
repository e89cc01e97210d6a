"""A server that bears few requests gets few, and more again when it bears them."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

from queue_app.downloaders.gate import Gate


def through(gate: Gate, most: int) -> int:
    """How many of `most` threads it lets through at once."""
    inside, over, lock = 0, threading.Event(), threading.Lock()

    def work() -> None:
        nonlocal inside
        with gate.turn():
            with lock:
                inside += 1
            over.wait()

    threads = [threading.Thread(target=work) for _ in range(most)]
    for thread in threads:
        thread.start()
    deadline, seen = time.monotonic() + 0.3, 0
    while time.monotonic() < deadline:
        seen = max(seen, inside)
        time.sleep(0.01)
    over.set()
    for thread in threads:
        thread.join()
    return seen


def test_each_complaint_takes_one_away() -> None:
    gate = Gate(8)
    with ExitStack() as others:
        for _ in range(4):
            others.enter_context(gate.turn())
        with ExitStack() as refused:
            for _ in range(4):
                refused.enter_context(gate.turn())
                refused.callback(gate.complained)
    assert through(gate, 8) == 4


def test_one_is_always_let_through() -> None:
    gate = Gate(3)
    for _ in range(10):
        with gate.turn():
            gate.complained()
    assert through(gate, 3) == 1


def test_success_brings_more_but_not_beyond_the_most() -> None:
    gate = Gate(2)
    with gate.turn():
        gate.complained()
    for _ in range(100):
        gate.succeeded()
    assert through(gate, 5) == 2
