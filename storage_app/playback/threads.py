"""The threads in which accounts are asked: one that hangs holds up only those who wait for it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import ParamSpec, TypeVar

from storage_app.backends.base import StorageUnavailableError

THREADS = 256
"""Of each pool; they are started when they are needed."""
OPENING = 32
"""Threads that open files of one account on this host; a folder that hangs holds up only its own."""
ASKING = 16
"""Threads that ask one account for URLs: the answers are shared by all viewers of a copy."""

P = ParamSpec("P")
T = TypeVar("T")


class SilentError(StorageUnavailableError):
    """There was no answer in time."""


def in_time(seconds: float, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` returns. Raises SilentError after so many seconds; what comes later is lost."""
    task = pool("waiting").submit(work, *args, **kwargs)
    wait([task], seconds)
    if task.done():
        return task.result()
    task.cancel()
    raise silent(seconds)


def silent(seconds: float) -> SilentError:
    """The error for who has said nothing for so long."""
    return SilentError(f"It has not answered for {seconds:g} seconds.")


def of_folder(root: Path) -> ThreadPoolExecutor:
    """For opening the copies of the account on this host whose folder this is."""
    return pool(f"folder-{root}", OPENING)


@functools.cache
def pool(name: str, threads: int = THREADS) -> ThreadPoolExecutor:
    """The pool of this name; made when it is first asked for."""
    return ThreadPoolExecutor(threads, thread_name_prefix=f"playback-{name}")
