"""A measuring process: `python -m benchmarks.queues.client reelkeep enqueue 3` does one thing for 3 seconds, as often
as it can. Says "ready", waits for a line, and prints what it saw as JSON."""

from __future__ import annotations

import itertools
import json
import os
import random
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

Step = Callable[[], int]

BATCH = 1000


def reelkeep(what: str) -> Step:
    """`enqueue` as the API does it; `batch` in SQL; `sql`: claim one, finish it."""
    import django

    django.setup()
    from queue_app import queue
    from storage_app.naming import VideoKey

    work = random.randrange(10**9) * 1000
    episodes = itertools.count(1)
    if what == "enqueue":

        def enqueue() -> int:
            number = next(episodes)
            queue.enqueue_video(
                VideoKey(work + number % 1000, number, "bench", None), f"https://s.example/{number}.mp4"
            )
            return 1

        return enqueue
    client = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    if what == "batch":

        def batch() -> int:
            client.execute(
                "SELECT count(enqueue_video(%s + n, %s, 'bench', 'https://s.example/' || n || '.mp4'))"
                " FROM generate_series(1, %s) n",
                [work, next(episodes), BATCH],
            )
            return BATCH

        return batch
    name = f"client-{os.getpid()}"

    def claim_and_finish() -> int:
        row = client.execute(
            "SELECT id, lease_token FROM claim_videos('download', %s, 1, 1, interval '30 s')", [name]
        ).fetchone()
        if row is None:
            return 0
        client.execute("SELECT finish_download(%s, %s, '{\"size\": 1}')", row)
        return 1

    return claim_and_finish


def procrastinate(what: str) -> Step:
    """`enqueue` and `batch` by its own API; `sql`: its two functions."""
    from benchmarks.queues.procrastinate_app import app, noop

    app.open()
    if what == "enqueue":

        def enqueue() -> int:
            noop.defer()
            return 1

        return enqueue
    if what == "batch":

        def batch() -> int:
            noop.batch_defer(*[{}] * BATCH)
            return BATCH

        return batch
    client = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    registered = client.execute("SELECT worker_id FROM procrastinate_register_worker_v1()").fetchone()

    def fetch_and_finish() -> int:
        row = client.execute("SELECT id FROM procrastinate_fetch_job_v2(NULL, %s)", registered).fetchone()
        if row is None or row[0] is None:
            return 0
        client.execute("SELECT procrastinate_finish_job_v1(%s, 'succeeded', false)", row)
        return 1

    return fetch_and_finish


def django_q(what: str) -> Step:
    """`enqueue` by its own API; `sql`: its broker's two methods (it has no functions)."""
    import django

    django.setup()
    from django.db import transaction
    from django_q.brokers import get_broker
    from django_q.tasks import async_task

    from benchmarks.queues.django_q_tasks import NOOP

    broker = get_broker()

    def enqueue() -> int:
        async_task(NOOP, broker=broker)
        return 1

    if what == "enqueue":
        return enqueue
    if what == "batch":

        def batch() -> int:
            with transaction.atomic():
                return sum(enqueue() for _ in range(BATCH))

        return batch

    def fetch_and_delete() -> int:
        tasks = broker.dequeue() or []
        for key, _payload in tasks:
            broker.acknowledge(key)
        return len(tasks)

    return fetch_and_delete


def count(step: Step, seconds: float) -> dict[str, float]:
    """How often it went in that time."""
    started, n = time.monotonic(), 0
    while time.monotonic() - started < seconds:
        n += step()
    return {"n": n, "seconds": time.monotonic() - started}


def wake_ups(enqueue: Step, times: int) -> dict[str, list[float]]:
    """Milliseconds from the end of `enqueue` (its commit) to the job's start, one job at a time, at random moments."""
    address = Path(os.environ["BENCH_STARTED"])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(address))
        receiver.settimeout(30)
        found = []
        for _ in range(times):
            time.sleep(random.uniform(0.02, 0.22))
            enqueue()
            committed = time.monotonic_ns()
            found.append(max(0.0, (int(receiver.recv(64)) - committed) / 1e6))
    address.unlink()
    return {"ms": found}


def main() -> None:
    """The command line: contender, what, and seconds or times."""
    contender, what, amount = sys.argv[1], sys.argv[2], float(sys.argv[3])
    step = {"reelkeep": reelkeep, "procrastinate": procrastinate, "django_q": django_q}[contender](
        "enqueue" if what == "wake" else what
    )
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    found = wake_ups(step, int(amount)) if what == "wake" else count(step, amount)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
