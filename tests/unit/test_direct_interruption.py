"""A signal's exception, raised at any moment, leaves everything in order; and it is raised once."""

from __future__ import annotations

import random
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from queue_app.downloaders import Limits
from queue_app.failures import Cancelled
from queue_app.heartbeat import INTERRUPT, Heartbeat
from queue_app.queue import Lease
from tests.servers import origin as servers
from tests.servers.origin import Origin
from tests.unit.downloads import Getter

VIDEO = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp41" + random.Random(1).randbytes(12_000_000)


def lost() -> Heartbeat:
    """Of a lease whose time is over."""
    return Heartbeat(Lease(uuid.uuid4(), uuid.uuid4()), timedelta(0), "download")


def signalled() -> None:
    signal.raise_signal(INTERRUPT)


@contextmanager
def signalled_on_leaving(cleaned: list[bool]) -> Iterator[None]:
    """Cleaning up, during which the signal comes again."""
    try:
        yield
    finally:
        signalled()
        cleaned.append(True)


def test_cleaning_up_is_not_interrupted() -> None:
    cleaned: list[bool] = []
    with pytest.raises(Cancelled), lost().interrupting(), signalled_on_leaving(cleaned):
        signalled()
    assert cleaned


def test_who_was_told_already_is_not_interrupted() -> None:
    heartbeat, cleaned = lost(), list[bool]()
    with pytest.raises(Cancelled), heartbeat.interrupting(), signalled_on_leaving(cleaned):
        heartbeat.check()
    assert cleaned


def test_what_another_thread_is_told_interrupts_all_the_same() -> None:
    heartbeat = lost()

    def be_told() -> None:
        with suppress(Cancelled):
            heartbeat.check()

    with heartbeat.interrupting():
        teller = threading.Thread(target=be_told)
        teller.start()
        teller.join()
        with pytest.raises(Cancelled):
            signalled()


def test_each_block_may_be_interrupted_and_none_after_it() -> None:
    heartbeat, before = lost(), signal.getsignal(INTERRUPT)
    for _ in range(2):
        with pytest.raises(Cancelled), heartbeat.interrupting():
            signalled()
    assert signal.getsignal(INTERRUPT) == before


@contextmanager
def signalled_after(seconds: float) -> Iterator[None]:
    """The main thread gets the signal then."""
    main = threading.main_thread().ident or 0
    timer = threading.Timer(seconds, signal.pthread_kill, (main, INTERRUPT))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


@pytest.mark.parametrize("moment", range(12))
def test_a_download_that_is_interrupted_anywhere_goes_on(moment: int, origin: Origin, tmp_path: Path) -> None:
    origin.put("/x.mp4", VIDEO)
    origin.misbehave("/x.mp4", servers.Slow(bytes_per_second=6_000_000))
    folder = tmp_path / "download"
    folder.mkdir()
    limits = Limits(max_bytes=100_000_000, retry_wait=0.01, host_connections=4, shared=tmp_path / "shared")
    getter = Getter(origin, folder, limits)
    heartbeat = lost()
    with suppress(Cancelled), heartbeat.interrupting(), signalled_after(0.05 + moment * 0.05):
        getter("/x.mp4")
    deadline = time.monotonic() + 20
    while names_of_threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not names_of_threads()
    assert getter("/x.mp4").path.read_bytes() == VIDEO


def names_of_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("direct-")]
