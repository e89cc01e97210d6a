"""Threads that keep a database connection each, for views that answer often and ask little.

Under ASGI each request has a thread of its own, so Django's connections last for one request, whatever CONN_MAX_AGE
says, and connecting costs more than such a view does. What runs here must be short, and safe to run twice: where the
connection turns out to be dead, it is run again on a new one.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from asgiref.sync import SyncToAsync, sync_to_async
from django.db import InterfaceError, OperationalError, connection

THREADS = 4
"""Connections of each web process."""

T = TypeVar("T")


async def in_database(work: Callable[[], T]) -> T:
    """What `work` returns, run outside of any transaction. Raises what it raises."""
    return await asyncio.get_running_loop().run_in_executor(_threads(), _attempt, work)


def in_database_from_thread(work: Callable[[], T]) -> T:
    """The same for code that isn't on the event loop and must not be in one of these threads itself."""
    return _threads().submit(_attempt, work).result()


async def in_request_database(work: Callable[[], T]) -> T:
    """The same while a server has a request in hand. Else, as for a test's client, it sees the caller's transaction."""
    if SyncToAsync.thread_sensitive_context.get(None) is not None:
        return await in_database(work)
    return await sync_to_async(_here)(work)


def close_connections() -> None:
    """Close them all, if there are any; each is opened again when it is needed."""
    if not _threads.cache_info().currsize:
        return
    together = threading.Barrier(THREADS)

    def close() -> None:
        together.wait(10)
        connection.close()

    wait([_threads().submit(close) for _ in range(THREADS)])


def _here(work: Callable[[], T]) -> T:
    try:
        return work()
    finally:
        if not connection.in_atomic_block:
            connection.close()


def _attempt(work: Callable[[], T]) -> T:
    had_one = connection.connection is not None
    try:
        return work()
    except (OperationalError, InterfaceError):
        connection.close()
        if not had_one:
            raise
        return work()


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="database")
