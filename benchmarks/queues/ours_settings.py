"""Reelkeep's own settings; only the broker of the lanes is one whose videos take no time."""

from __future__ import annotations

from archive_site.settings import *  # noqa: F403
from archive_site.settings import Q_CLUSTER

Q_CLUSTER["ALT_CLUSTERS"] = {
    lane: {**options, "broker_class": "benchmarks.queues.ours_tasks.NothingBroker"}
    for lane, options in Q_CLUSTER["ALT_CLUSTERS"].items()
}
