"""The keeper of one host: a few threads that do storage tasks until told to stop."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from storage_app.models import StorageTask, TaskKind
from storage_app.upkeep import workspace
from storage_app.upkeep.sweep import sweep
from storage_app.upkeep.tasks import CHANNEL, due_kinds
from storage_app.upkeep.work import LANES, work_once

log = logging.getLogger(__name__)

POLL_SECONDS = 5.0
"""Between looks for tasks that nobody was woken for: those that have waited long enough."""
LISTEN_SECONDS = 0.5
REST_SECONDS = 1.0
SWEEP_SECONDS = 2.0
CLEAN_SECONDS = 300.0


class Keeper:
    """Runs until `stop` is called. Then every thread hands its task back at its next step; what doesn't get there in
    time is handed back for it. An idle keeper holds one connection to the database."""

    def __init__(self, worker_id: str) -> None:
        self.name = f"{worker_id[:80]}/keeper-{os.getpid()}"
        self._stopping = threading.Event()
        self._lanes = [(kinds, threading.Event()) for kinds in LANES]
        self._threads = [
            threading.Thread(target=self._work, args=lane, name=f"keeper-{number}", daemon=True)
            for number, lane in enumerate(self._lanes)
        ]
        self._listening: Any = None
        self._poll_at = self._sweep_at = self._clean_at = 0.0

    def stop(self) -> None:
        """May be called from a signal handler."""
        self._stopping.set()

    def run(self) -> bool:
        """Works until stopped; True when every thread came to its end within SHUTDOWN_GRACE."""
        log.info("Keeper %s looks after the store.", self.name)
        for thread in self._threads:
            thread.start()
        while not self._stopping.is_set():
            with self._through_outages():
                self._look()
                self._wait()
        return self._end()

    def _work(self, kinds: tuple[TaskKind, ...], wake: threading.Event) -> None:
        """One thread's loop."""
        while not self._stopping.is_set():
            with self._through_outages():
                wake.clear()
                if not work_once(kinds, self.name, self._stopping):
                    connection.close()
                    wake.wait()
        connection.close()

    def _look(self) -> None:
        """Do what has its time, and wake the threads for which something is due."""
        moment = time.monotonic()
        if moment >= self._sweep_at:
            self._sweep_at = moment + SWEEP_SECONDS
            sweep()
        if moment >= self._clean_at:
            self._clean_at = moment + CLEAN_SECONDS
            workspace.sweep()
        if moment >= self._poll_at:
            self._poll_at = moment + POLL_SECONDS
            due = due_kinds()
            for kinds, wake in self._lanes:
                if due.intersection(kinds):
                    wake.set()

    def _wait(self) -> None:
        """A moment, or until somebody asks for a task."""
        connection.ensure_connection()
        if self._listening is not connection.connection:
            with connection.cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
            self._listening = connection.connection
            self._poll_at = 0.0
        with connection.wrap_database_errors:  # a session that ends while it listens is an outage like any other
            for _notify in self._listening.notifies(timeout=LISTEN_SECONDS, stop_after=1):
                self._poll_at = 0.0

    @contextmanager
    def _through_outages(self) -> Iterator[None]:
        """The keeper outlives its database, and faults of its own."""
        try:
            yield
        except (DatabaseError, InterfaceError, psycopg.Error) as error:
            log.warning("The database can't be reached (%s), trying again.", type(error).__name__)
            connection.close()
            self._stopping.wait(REST_SECONDS)
        except Exception:
            log.exception("Unexpected; the keeper goes on.")
            connection.close()
            self._stopping.wait(REST_SECONDS)

    def _end(self) -> bool:
        for _kinds, wake in self._lanes:
            wake.set()
        deadline = time.monotonic() + max(settings.SHUTDOWN_GRACE - 1, 0.5)
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))
        late = [thread for thread in self._threads if thread.is_alive()]
        with self._through_outages():
            handed_back = _hand_back_all(self.name)
            log.info("Keeper stopped; %d tasks handed back.", handed_back)
        connection.close()
        return not late


def _hand_back_all(worker_id: str) -> int:
    """What this process still holds may be taken by others at once; its threads notice that they have lost it."""
    return StorageTask.objects.filter(worker_id=worker_id).update(lease_token=None, lease_expires_at=None, worker_id="")


def run_due(kinds: Iterable[TaskKind], worker_id: str) -> int:
    """Do what is due now, in this thread, and return how many tasks: for commands and tests."""
    number = 0
    while work_once(tuple(kinds), worker_id):
        number += 1
    return number
