"""The worker of one host: its name, its lanes and its keeper, its heartbeat, and an orderly end."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from datetime import timedelta
from types import FrameType

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.models.functions import Now

from archive_site import __version__
from queue_app import queue, scratch
from queue_app.lanes import CHORES, KeeperProcess, LaneProcess
from queue_app.models import Worker
from queue_app.patience import through_outages
from queue_app.quarantine import forget_old
from queue_app.states import Lane
from queue_app.watchdog import Watchdog
from storage_app.accounts import ensure_accounts

log = logging.getLogger(__name__)

TICK_SECONDS = 0.2
HEARTBEAT_SECONDS = 5.0
SILENCE = timedelta(seconds=12 * HEARTBEAT_SECONDS)
"""A worker that has said nothing for so long is taken for dead by the others."""


class ArchiveWorker:
    """Supervises the lanes of this host until it is told to stop.

    A first SIGTERM or SIGINT: claim nothing more, let running tasks finish within SHUTDOWN_GRACE, give the rest back.
    A second one: give everything back now.
    """

    def __init__(self, worker_id: str) -> None:
        self.id = worker_id
        lanes = [LaneProcess(lane, worker_id) for lane in (*Lane.values, CHORES)]
        keeper = [KeeperProcess(worker_id)] if settings.KEEPER else []
        self.lanes: list[LaneProcess | KeeperProcess] = [*lanes, *keeper]
        self._stop = threading.Event()
        self._signals = 0
        self._heartbeat_at = 0.0
        self._watchdog = Watchdog(worker_id, timedelta(seconds=settings.LEASE_SECONDS))

    def run(self) -> int:
        """Work until a signal comes. Returns the exit code: 0, or 1 when a second signal cut the grace short."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        through_outages(self._register)
        for remark in through_outages(ensure_accounts).remarks:
            log.warning("%s", remark)
        self._clean_up_after_a_crash()
        log.info("Worker %s takes up to %d videos a lane.", self.id, settings.MAX_CONCURRENT)
        while not self._stop.is_set():
            for lane in self.lanes:
                lane.keep_running()
            self._heartbeat()
            self._restart_deaf_lanes()
            self._stop.wait(TICK_SECONDS)
        return self._shut_down()

    def _on_signal(self, signum: int, _frame: FrameType | None) -> None:
        self._signals += 1
        self._stop.set()

    def _register(self) -> None:
        Worker.objects.update_or_create(
            id=self.id,
            defaults={
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "version": __version__,
                "capacity": settings.MAX_CONCURRENT,
                "started_at": Now(),
                "last_heartbeat": Now(),
                "stopped_at": None,
            },
        )

    def _clean_up_after_a_crash(self) -> None:
        """The name's lock is ours, so whatever it still holds was left by a process that died."""
        reason = "The worker died in the middle of it and was started again."
        released = through_outages(lambda: queue.release_worker_videos(self.id, reason, charge=True))
        removed = through_outages(lambda: scratch.sweep(self.id))
        if released or removed:
            log.warning("Took up %d jobs and removed %d folders that a crash had left.", released, removed)

    def _heartbeat(self) -> None:
        if time.monotonic() < self._heartbeat_at:
            return
        self._heartbeat_at = time.monotonic() + HEARTBEAT_SECONDS
        if settings.QUARANTINE_DIR:
            forget_old(settings.QUARANTINE_DIR, settings.QUARANTINE_DAYS)
        try:
            Worker.objects.filter(id=self.id).update(last_heartbeat=Now())
            if released := queue.release_expired_leases(SILENCE):
                log.warning("Took back %d jobs whose worker stopped answering.", released)
            removed = scratch.sweep(self.id)
            log.debug("Heartbeat written; %d jobs taken back, %d folders removed.", released, removed)
        except (DatabaseError, InterfaceError) as error:
            log.warning("The database can't be reached (%s); jobs in work go on.", type(error).__name__)
            connection.close()

    def _restart_deaf_lanes(self) -> None:
        """End the lanes that claim and never start; `keep_running` starts them again."""
        reason = "The lane's processes took no work and were started again."
        try:
            deaf = self._watchdog.deaf_lanes()
            for lane in (lane for lane in self.lanes if lane.lane in deaf):
                log.error("The %s lane claims videos but doesn't start them; ending its processes.", lane.lane)
                lane.kill()
                queue.release_lane_videos(self.id, Lane(lane.lane), reason)
        except (DatabaseError, InterfaceError) as error:
            log.warning("The database can't be reached (%s); the lanes go unwatched.", type(error).__name__)
            connection.close()

    def _shut_down(self) -> int:
        log.info("Stopping: running videos have %g s to finish.", settings.SHUTDOWN_GRACE)
        deadline = time.monotonic() + settings.SHUTDOWN_GRACE
        for lane in self.lanes:
            lane.signal(signal.SIGTERM)
        while any(lane.alive for lane in self.lanes) and self._signals < 2 and time.monotonic() < deadline:
            self._heartbeat()
            time.sleep(TICK_SECONDS)
        for lane in self.lanes:
            lane.kill()
        hurried = self._signals > 1
        try:
            released = queue.release_worker_videos(self.id, "The worker was stopped.", charge=False)
            Worker.objects.filter(id=self.id).update(stopped_at=Now(), last_heartbeat=Now())
            scratch.sweep(self.id)
            log.info("Stopped; %d jobs given back.", released)
        except (DatabaseError, InterfaceError) as error:
            log.warning("Stopped; the database can't be reached (%s), the leases will run out.", type(error).__name__)
        return 1 if hurried else 0
