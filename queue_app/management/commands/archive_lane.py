"""`manage.py archive_lane`: one lane's django-q2 cluster. Started by archive_worker, not by hand."""

from __future__ import annotations

import math
import os
import signal
import sys
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, connections

from archive_site.process_tree import die_with_parent
from queue_app.lanes import CHORES
from queue_app.next_job import stop_going_on
from queue_app.states import Lane


class Command(BaseCommand):
    """Ends after its running tasks on SIGTERM, and dies with the worker that started it."""

    help = "One lane of the worker (started by archive_worker)."

    def add_arguments(self, parser: CommandParser) -> None:
        """The lane's name."""
        parser.add_argument("lane", choices=[*Lane.values, CHORES])

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run the lane's cluster until it is stopped."""
        if os.environ.get("Q_CLUSTER_NAME") != options["lane"] or "REELKEEP_PARENT" not in os.environ:
            raise CommandError("Run manage.py archive_worker: it starts the lanes.")
        die_with_parent(parent=int(os.environ["REELKEEP_PARENT"]))
        # Every process that the cluster forks (sentinel, pusher, monitor, workers) dies with the one that forked it.
        os.register_at_fork(after_in_child=die_with_parent)
        from django_q.cluster import Cluster

        class LaneCluster(Cluster):  # type: ignore[misc]
            """Ends even if its pool is deaf and never hears that it is to stop."""

            def sig_handler(self, signum: int, frame: FrameType | None) -> None:
                stop_going_on()
                # The kernel ends this process then, although it waits for its children, and with it all of them.
                signal.alarm(math.ceil(settings.SHUTDOWN_GRACE) + 1)
                super().sig_handler(signum, frame)

        if options["lane"] in Lane.values:
            # A connection for each process, not for each task. One that has broken is replaced by `through_outages`.
            connections.settings[DEFAULT_DB_ALIAS]["CONN_MAX_AGE"] = None
        cluster = LaneCluster()
        cluster.start()
        cluster.sentinel.join()
        sys.exit(cluster.sentinel.exitcode or 0)
