"""Reelkeep's real worker with the download lane alone: one queue, as the peers have."""

from __future__ import annotations

import sys

import django

if __name__ == "__main__":
    django.setup()
    from django.conf import settings

    from queue_app.states import Lane
    from queue_app.worker import ArchiveWorker

    settings.WORKER_ID = "bench"
    worker = ArchiveWorker("bench")
    worker.lanes = [lane for lane in worker.lanes if lane.lane == Lane.DOWNLOAD]
    sys.exit(worker.run())
