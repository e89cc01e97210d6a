"""`child.ask` comes back in time, whatever the program has left behind."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

from queue_app.downloaders import Progress, child


def ask(*, away: bool) -> psutil.Process | None:
    """What the program leaves behind, if it is still there."""
    reply = child.ask("tests.unit.leaving_child", {"away": away}, seconds=60, memory=2**30, progress=Progress())
    try:
        return psutil.Process(reply["pid"])
    except psutil.NoSuchProcess:
        return None


def test_what_it_leaves_behind_is_ended() -> None:
    before = time.monotonic()
    left = ask(away=False)
    assert time.monotonic() - before < 60
    if left is not None:
        left.wait(30)  # raises TimeoutExpired while it runs


def test_what_has_gone_away_blocks_nobody() -> None:
    before = time.monotonic()
    left = ask(away=True)
    try:
        assert time.monotonic() - before < 60
    finally:
        if left is not None:
            os.kill(left.pid, signal.SIGKILL)


@pytest.mark.parametrize("seconds", [0.0, 0.3])
def test_one_that_takes_too_long_is_ended(seconds: float) -> None:
    with pytest.raises(child.ChildFailed, match="took longer"):
        child.ask("tests.unit.waiting_child", {}, seconds=seconds, memory=2**30, progress=Progress())
    assert not started("tests.unit.waiting_child")


def test_what_has_gone_away_is_ended_with_one_that_is_stopped() -> None:
    left: list[psutil.Process] = []

    def stop(_done: int, _total: int | None) -> None:
        for one in started("tests.unit.leaving_child"):
            left.extend(one.children())
        if left:
            raise KeyError("stopped")

    request = {"away": True, "stay": True}
    with pytest.raises(KeyError, match="stopped"):
        child.ask("tests.unit.leaving_child", request, seconds=120, memory=2**30, progress=stop)
    for one in left:
        one.wait(30)  # raises TimeoutExpired while it runs


def started(module: str) -> list[psutil.Process]:
    """The programs of this name that this process has started."""
    processes = psutil.Process().children()
    return [one for one in processes if module in (one.as_dict(["cmdline"])["cmdline"] or [])]
