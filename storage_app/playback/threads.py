"""The threads in which copies are opened and read: an account that hangs holds up only those who wait for it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

from storage_app.backends.base import StorageUnavailableError

THREADS = 256
"""Of each pool; they are started when they are needed."""

T = TypeVar("T")


class SilentError(StorageUnavailableError):
    """There was no answer in time."""


def of_viewers(remote: bool) -> ThreadPoolExecutor:
    """For viewers of copies on this host, or of copies elsewhere: an account that hangs delays no local file."""
    return pool("remote" if remote else "local")


def in_time(seconds: float, work: Callable[[], T], late: Callable[[T], object]) -> T:
    """What `work` returns. Raises SilentError after so many seconds; `late` then gets what comes all the same."""
    task = pool("accounts").submit(work)
    wait([task], seconds)
    if task.done():
        return task.result()
    task.cancel()
    task.add_done_callback(functools.partial(_came_late, late))
    raise SilentError(f"It has not answered for {seconds:g} seconds.")


def _came_late(late: Callable[[T], object], task: Future[T]) -> None:
    if not task.cancelled() and task.exception() is None:
        late(task.result())


@functools.cache
def pool(name: str) -> ThreadPoolExecutor:
    """The pool of this name; made when it is first asked for."""
    return ThreadPoolExecutor(THREADS, thread_name_prefix=f"playback-{name}")
