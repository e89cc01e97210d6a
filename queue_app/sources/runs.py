"""Runs of resolvers in threads that are shared fairly: a server that is dead holds up its own sources alone."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from queue_app.sources.wanted import Wanted

THREADS = 16
PER_SERVER = 4
"""Runs for the same server at the same time; the others queue for it."""


@dataclass(eq=False)
class Run:
    """One that is queued or running. Its result is the URL, or None; it never has an exception."""

    wanted: Wanted
    anew: bool
    result: Future[str | None] = field(default_factory=Future)
    waiting: int = 0
    """How many wait for it. Who says so and doesn't wait leaves it to run in any case."""


class Runs:
    """At most one run for each source. `work` mustn't raise anything."""

    def __init__(self, work: Callable[[Run], str | None], threads: int = THREADS, per_server: int = PER_SERVER) -> None:
        self._work, self._per_server = work, per_server
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="resolver")
        self._lock = threading.Lock()
        self._runs: dict[Wanted, Run] = {}
        self._queued: dict[str, deque[Run]] = {}
        self._busy: Counter[str] = Counter()

    def __contains__(self, wanted: Wanted) -> bool:
        with self._lock:
            return wanted in self._runs

    def join(self, wanted: Wanted, *, anew: bool = False) -> Run:
        """The run that there is for it, or a new one, and one more who waits."""
        with self._lock:
            run = self._runs.get(wanted)
            if run is None:
                run = self._runs[wanted] = Run(wanted, anew)
                run.result.set_running_or_notify_cancel()  # nobody who waits may cancel it for the others
                self._queued.setdefault(_server(wanted), deque()).append(run)
                self._start(_server(wanted))
            run.waiting += 1
        return run

    def leave(self, run: Run) -> None:
        """One fewer waits. A run for which nobody does is dropped when its turn comes; one that has begun goes on."""
        with self._lock:
            run.waiting -= 1

    def _start(self, server: str) -> None:
        """What is this server's turn. The lock is held: no future may end in here, for its callbacks come back."""
        queued = self._queued[server]
        while queued and self._busy[server] < self._per_server:
            self._busy[server] += 1
            self._pool.submit(self._run, queued.popleft())
        if not queued:
            del self._queued[server]

    def _run(self, run: Run) -> None:
        found = None
        try:
            with self._lock:
                wanted = run.waiting > 0
                if not wanted:
                    del self._runs[run.wanted]
            if wanted:
                found = self._work(run)
        finally:
            try:
                self._end(run)
            finally:
                run.result.set_result(found)

    def _end(self, run: Run) -> None:
        server = _server(run.wanted)
        with self._lock:
            if self._runs.get(run.wanted) is run:
                del self._runs[run.wanted]
            self._busy[server] -= 1
            if not self._busy[server]:
                del self._busy[server]
            if server in self._queued:
                self._start(server)


def _server(wanted: Wanted) -> str:
    try:
        return urlsplit(wanted.url).netloc.lower()
    except ValueError:
        return ""
