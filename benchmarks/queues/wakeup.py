"""From the commit of an enqueue to the job's start, in an idle worker."""

from __future__ import annotations

import json

from benchmarks.queues.contenders import Contender
from benchmarks.queues.report import Report, quantile

WAKE_UP = "Wake-up, from enqueue to start"


def wake_up(report: Report, contender: Contender, times: int) -> None:
    """One turn of one contender: a worker of two processes, jobs one by one at random moments."""
    address = {"BENCH_STARTED": str(contender.folder / "started")}
    # The clients and workers of a warm-up have nobody to tell: the socket is there only while it is measured.
    with contender.workers(2, address):
        client = contender.client("wake", times, address)
        found = json.loads(client.communicate("go\n")[0].splitlines()[-1])["ms"]
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        report.add(WAKE_UP, contender.name, name, "ms", quantile(found, share))
