"""`manage.py archive_lane`: one lane's django-q2 cluster. Started by archive_worker, not by hand."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Any

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
        if os.environ.get("Q_CLUSTER_NAME") != options["lane"]:
            raise CommandError("Run manage.py archive_worker: it starts the lanes.")
        die_with_parent(parent=int(os.environ["REELKEEP_LANE_PARENT"]))
        # Every process that the cluster forks (sentinel, pusher, monitor, workers) dies with the one that forked it.
        os.register_at_fork(after_in_child=die_with_parent)
        from django_q.cluster import Cluster

        if options["lane"] in Lane.values:
            # A connection for each process, not for each task. One that has broken is replaced by `through_outages`.
            connections.settings[DEFAULT_DB_ALIAS]["CONN_MAX_AGE"] = None
        cluster = Cluster()
        _stop_going_on_first(cluster)
        cluster.start()
        cluster.sentinel.join()
        sys.exit(cluster.sentinel.exitcode or 0)


def _stop_going_on_first(cluster: Any) -> None:
    """On a signal the lane's processes end with the job that they have; then django-q2 does its part."""

    def stop(signum: int, frame: FrameType | None) -> None:
        stop_going_on()
        cluster.sig_handler(signum, frame)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
