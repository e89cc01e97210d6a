"""The bandwidth cap and the cap on connections hold over processes and threads."""

from __future__ import annotations

import dataclasses
import multiprocessing
import signal
import struct
import threading
import time
from pathlib import Path

import pytest

from queue_app.downloaders import Limits
from queue_app.downloaders.connections import Connections
from queue_app.downloaders.rate import Throttle

URL = "http://videos.example/x.mp4"
LIMITS = Limits(max_bytes=1, max_rate=1_000_000, host_connections=3)


@pytest.fixture(params=["shared", "alone"])
def limits(request: pytest.FixtureRequest, tmp_path: Path) -> Limits:
    return dataclasses.replace(LIMITS, shared=tmp_path / "shared" if request.param == "shared" else None)


def take_much(limits: Limits, size: int) -> None:
    throttle = Throttle(limits)
    for _ in range(size // 10_000):
        throttle.take(10_000)


def hold_slots(limits: Limits, count: int, held: threading.Event) -> None:
    slots = [Connections(limits).try_slot(URL) for _ in range(count)]
    assert all(slots)
    held.set()
    signal.pause()


def test_processes_stay_below_the_rate_together(tmp_path: Path) -> None:
    limits = dataclasses.replace(LIMITS, shared=tmp_path)
    began = time.monotonic()
    takers = [multiprocessing.Process(target=take_much, args=(limits, 500_000)) for _ in range(3)]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join()
    # A quarter of a second's worth may be made up for.
    assert time.monotonic() - began >= 1.25
    assert [taker.exitcode for taker in takers] == [0, 0, 0]


def test_threads_stay_below_the_rate_together(limits: Limits) -> None:
    throttle, began = Throttle(limits), time.monotonic()
    takers = [threading.Thread(target=throttle.take, args=(250_000,)) for _ in range(3)]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join()
    assert time.monotonic() - began >= 0.5


def test_without_a_rate_nobody_waits(tmp_path: Path) -> None:
    Throttle(Limits(max_bytes=1, shared=tmp_path)).take(10**15)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("left", [b"", b"abc", struct.pack("d", 1e300), struct.pack("d", float("nan"))])
def test_a_clock_of_another_time_is_not_believed(left: bytes, tmp_path: Path) -> None:
    (tmp_path / "rate").write_bytes(left)
    stopped = threading.Event()
    taker = threading.Thread(target=Throttle(dataclasses.replace(LIMITS, shared=tmp_path)).take, args=(1000, stopped))
    taker.start()
    taker.join(20)
    assert not taker.is_alive()


def test_a_low_rate_is_kept_by_many_threads(tmp_path: Path) -> None:
    limits = dataclasses.replace(LIMITS, shared=tmp_path, max_rate=10_000)
    throttle, stopped, began = Throttle(limits), threading.Event(), time.monotonic()
    stopped.set()
    takers = [threading.Thread(target=throttle.take, args=(256 * 1024, stopped)) for _ in range(16)]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join()
    (paid_off,) = struct.unpack("d", (tmp_path / "rate").read_bytes())
    assert paid_off - began >= 16 * 256 * 1024 / 10_000 - 0.25


def test_waiting_for_the_rate_can_be_stopped(limits: Limits) -> None:
    stopped = threading.Event()
    taker = threading.Thread(target=Throttle(limits).take, args=(10**10, stopped))
    taker.start()
    stopped.set()
    taker.join(20)
    assert not taker.is_alive()


def test_a_host_gets_so_many_connections_and_no_more(limits: Limits) -> None:
    connections = Connections(limits)
    slots = [connections.try_slot(URL) for _ in range(3)]
    assert all(slots)
    assert connections.try_slot("http://VIDEOS.example:80/another") is None
    assert connections.try_slot("https://videos.example/x.mp4") is not None
    first = slots[0]
    assert first is not None
    first.close()
    first.close()
    again = connections.try_slot(URL)
    assert again is not None
    assert connections.try_slot(URL) is None


def test_a_slot_that_nobody_has_is_free(limits: Limits) -> None:
    connections = Connections(dataclasses.replace(limits, host_connections=1))
    for _ in range(3):
        assert connections.try_slot(URL) is not None


def test_a_dead_process_holds_no_connection(tmp_path: Path) -> None:
    limits = dataclasses.replace(LIMITS, shared=tmp_path)
    held = multiprocessing.Event()
    holder = multiprocessing.Process(target=hold_slots, args=(limits, 3, held))
    holder.start()
    assert held.wait(30)
    assert Connections(limits).try_slot(URL) is None
    holder.kill()
    holder.join()
    assert Connections(limits).try_slot(URL) is not None


def test_who_waits_is_seen_and_served(limits: Limits) -> None:
    connections = Connections(limits)
    slots = [connections.try_slot(URL) for _ in range(3)]
    served = threading.Event()

    def wait() -> None:
        with connections.slot(URL) as given:
            assert given
            served.set()

    assert not connections.wanted(URL)
    waiter = threading.Thread(target=wait)
    waiter.start()
    deadline = time.monotonic() + 20
    while not connections.wanted(URL) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert connections.wanted(URL)
    assert not connections.wanted("http://another.example/")
    for slot in slots[:1]:
        assert slot is not None
        slot.close()
    assert served.wait(20)
    waiter.join()
    assert not connections.wanted(URL)


def test_waiting_for_a_connection_can_be_stopped(limits: Limits) -> None:
    connections, stopped = Connections(limits), threading.Event()
    slots = [connections.try_slot(URL) for _ in range(3)]
    stopped.set()
    with connections.slot(URL, stopped) as given:
        assert not given
    assert len(slots) == 3
