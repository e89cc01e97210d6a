"""`manage.py archive_worker`: the worker of this host."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from archive_site.process_tree import die_with_parent
from queue_app.worker import ArchiveWorker
from queue_app.worker_identity import IdentityTaken, WorkerIdentity


class Command(BaseCommand):
    """Runs until SIGTERM or Ctrl-C; a second signal stops it at once (exit code 1)."""

    help = "Download, prove, copy and publish queued videos until stopped."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Take this worker's name and work."""
        if parent := os.environ.get("REELKEEP_PARENT"):
            die_with_parent(signal.SIGTERM, parent=int(parent))
        try:
            identity = WorkerIdentity(settings.REELKEEP_DATA, settings.WORKER_ID)
        except IdentityTaken as error:
            raise CommandError(str(error)) from error
        settings.WORKER_ID = identity.name
        try:
            code = ArchiveWorker(identity.name).run()
        finally:
            identity.release()
        sys.exit(code)
