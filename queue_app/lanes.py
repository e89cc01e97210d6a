"""A lane's processes: one django-q2 cluster in a process tree of its own, started by the worker. The chores are a
third one."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from django.conf import settings

from archive_site.kept_process import KeptProcess

log = logging.getLogger(__name__)

CHORES = "chores"


class LaneProcess(KeptProcess):
    """The cluster of one lane."""

    def __init__(self, lane: str, worker_id: str) -> None:
        self.lane = lane
        super().__init__(
            [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "archive_lane", lane],
            environment={"Q_CLUSTER_NAME": lane, "WORKER_ID": worker_id},
            died=lambda status: log.error("The %s lane ended with %s; starting it again.", lane, status),
        )
