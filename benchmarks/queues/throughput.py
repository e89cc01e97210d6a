"""Jobs per second: enqueued, through the SQL functions alone, through whole workers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable

from benchmarks.queues.contenders import Contender
from benchmarks.queues.report import Report
from benchmarks.queues.server import Server

ENQUEUE, FUNCTIONS, WORKERS = "Enqueue", "Claim and finish, SQL alone", "Whole workers, no-op jobs"
CPU = "The same, processor time a job (workers and server)"
UNIT = "jobs/s"
MOST_A_SECOND = 4000
"""More than this no contender does: how many jobs a run is given for each of its seconds."""


def enqueue(report: Report, server: Server, contenders: Iterable[Contender], seconds: float) -> None:
    """One turn of each: by the API one by one with 1 and 8 clients, and in batches."""
    for contender in contenders:
        for what, clients in (("enqueue", 1), ("enqueue", 8), ("batch", 1)):
            contender.empty()
            server.checkpoint()
            rate = _rate_of_clients(contender, what, clients, seconds)
            name = f"batches of 1000, {clients} client" if what == "batch" else f"one by one, {clients} client"
            report.add(ENQUEUE, contender.name, name + "s" * (clients > 1), UNIT, rate)


def functions(
    report: Report, server: Server, contenders: Iterable[Contender], clients: list[int], seconds: float
) -> None:
    """One turn of each: claim one and finish it, by so many clients."""
    for contender in contenders:
        for number in clients:
            contender.empty()
            contender.give(int(MOST_A_SECOND * seconds))
            server.checkpoint()
            rate = _rate_of_clients(contender, "sql", number, seconds)
            report.add(FUNCTIONS, contender.name, f"{number} client" + "s" * (number > 1), UNIT, rate)


def workers(report: Report, server: Server, contender: Contender, processes: int, seconds: float) -> None:
    """Jobs done by its workers in so many seconds, from the commit that gave them far more to do."""
    with contender.workers(processes):
        server.checkpoint()
        contender.give(jobs := int(MOST_A_SECOND * seconds))
        started, used = time.monotonic(), server.cpu_seconds()
        while (elapsed := time.monotonic() - started) < seconds and contender.done() < jobs:
            time.sleep(min(0.25, seconds - elapsed))
        done, elapsed, used = contender.done(), time.monotonic() - started, server.cpu_seconds() - used
        name = f"{processes} process" + "es" * (processes > 1)
        report.add(WORKERS, contender.name, name, UNIT, done / elapsed)
        report.add(CPU, contender.name, name, "ms", 1000 * used / max(done, 1))


def _rate_of_clients(contender: Contender, what: str, clients: int, seconds: float) -> float:
    started = [contender.client(what, seconds) for _ in range(clients)]
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    found = [json.loads(process.communicate()[0]) for process in started]
    return float(sum(one["n"] for one in found) / max(one["seconds"] for one in found))
