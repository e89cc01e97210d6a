"""A lane's processes: one django-q2 cluster in a process tree of its own, started by the worker. The chores are a
third one."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from django.conf import settings

from archive_site.process_tree import kill_trees

log = logging.getLogger(__name__)

CHORES = "chores"

RESTART_SECONDS = 2.0


class LaneProcess:
    """Starts the lane's cluster, starts it again when it has died, stops it."""

    def __init__(self, lane: str, worker_id: str) -> None:
        self.lane = lane
        self._worker_id = worker_id
        self._process: subprocess.Popen[bytes] | None = None
        self._start_at = 0.0

    def keep_running(self) -> None:
        """Start the cluster unless it runs; one that died is started again after a short rest."""
        if self.alive or time.monotonic() < self._start_at:
            return
        if self._process is not None:
            log.error("The %s lane ended with %s; starting it again.", self.lane, self._process.returncode)
        self._start_at = time.monotonic() + RESTART_SECONDS
        environment = {
            **os.environ,
            "Q_CLUSTER_NAME": self.lane,
            "WORKER_ID": self._worker_id,
            "REELKEEP_LANE_PARENT": str(os.getpid()),
        }
        command = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "archive_lane", self.lane]
        # A session of its own: Ctrl-C in the terminal is for the worker, which then stops its lanes in order.
        self._process = subprocess.Popen(command, env=environment, start_new_session=True, stdin=subprocess.DEVNULL)

    @property
    def alive(self) -> bool:
        """Whether the cluster's main process runs."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Ask the cluster to take no more and to end after its running tasks. Doesn't wait."""
        if self._process is not None and self.alive:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the cluster and all its processes at once."""
        if self._process is not None:
            kill_trees([self._process.pid])
            self._process.wait()
