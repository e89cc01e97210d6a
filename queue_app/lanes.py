"""What a worker keeps running: each lane is one django-q2 cluster in a process tree of its own, the chores are a third
one, and the keeper looks after the store."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from django.conf import settings

from archive_site.kept_process import KeptProcess

log = logging.getLogger(__name__)

CHORES = "chores"
KEEPER = "keeper"


class LaneProcess(KeptProcess):
    """The cluster of one lane."""

    def __init__(self, lane: str, worker_id: str) -> None:
        self.lane = lane
        super().__init__(
            [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "archive_lane", lane],
            environment={"Q_CLUSTER_NAME": lane, "WORKER_ID": worker_id},
            died=lambda status: log.error("The %s lane ended with %s; starting it again.", lane, status),
        )


class KeeperProcess(KeptProcess):
    """The one that copies, verifies and removes what storage tasks ask for."""

    lane = KEEPER

    def __init__(self, worker_id: str) -> None:
        super().__init__(
            [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "archive_keeper"],
            environment={"WORKER_ID": worker_id},
            died=lambda status: log.error("The keeper ended with %s; starting it again.", status),
        )
