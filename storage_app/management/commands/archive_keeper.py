"""`manage.py archive_keeper`: what keeps the store as it should be. Started by archive_worker; by hand where no videos
are to be downloaded."""

from __future__ import annotations

import os
import signal
import socket
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from archive_site.process_tree import die_with_parent
from storage_app.upkeep.keeper import Keeper


class Command(BaseCommand):
    """Ends on SIGTERM or SIGINT, its tasks handed back, and dies with the worker that started it."""

    help = "Copy, verify, scrub, reconcile, remove and measure until stopped."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Work."""
        keeper = Keeper(settings.WORKER_ID or socket.gethostname())
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, lambda _signum, _frame: keeper.stop())
        if parent := os.environ.get("REELKEEP_PARENT"):
            die_with_parent(parent=int(parent))
        if not keeper.run():
            # A thread waits for an account that doesn't answer. Its task is handed back already.
            os._exit(0)
