"""What a long history costs: claims, counts and `/status` beside a thousand finished rows and beside five million."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import TypeVar
from uuid import UUID

import requests

from benchmarks.queues.contenders import Contender
from benchmarks.queues.report import Report, quantile
from benchmarks.queues.server import Database, Server, python, running

T = TypeVar("T")

HISTORY = "Beside finished rows"
PENDING = 200
READY_SECONDS = 60


@dataclass
class Aged:
    """A database with so many finished rows, and the web server on it."""

    rows: int
    database: Database
    url: str

    @property
    def name(self) -> str:
        """As it is shown."""
        return name_of(self.rows)


def name_of(rows: int) -> str:
    """1 k, 5 M."""
    return f"{rows / 10**6:g} M" if rows >= 10**6 else f"{rows / 1000:g} k"


@contextmanager
def aged_databases(server: Server, reelkeep: Contender, sizes: list[int]) -> Iterator[list[Aged]]:
    """A database for each size, filled, each with a web server of its own."""
    with ExitStack() as stack:
        found = []
        reelkeep.database.close()  # a database in use is nobody's template
        for rows in sizes:
            database = Database(server.create(f"aged_{rows}", template=f"bench_{reelkeep.key}"))
            fill(database, rows)
            port = _free_port()
            environment = reelkeep.environment() | {"DATABASE_URL": database.dsn, "PORT": str(port), "WEB_WORKERS": "1"}
            web = ("-m", "gunicorn", "-c", "python:archive_site.gunicorn_conf", "archive_site.asgi:application")
            stack.enter_context(running(python(*web), {**environment, "BIND": "127.0.0.1"}))
            found.append(Aged(rows, database, f"http://127.0.0.1:{port}/status"))
        reelkeep.database = Database(reelkeep.database.dsn)
        for aged in found:
            _wait_for(aged.url)
        yield found


def fill(database: Database, rows: int) -> None:
    """Finished rows as years of work would leave them, vacuumed; and some that wait."""
    indexes = database.rows(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'video_queue'"
        " AND indexname NOT IN (SELECT conname FROM pg_constraint)"
    )
    for name, _definition in indexes:
        database.run(f"DROP INDEX {name}")
    database.run("ALTER TABLE video_queue DISABLE TRIGGER USER")
    database.run(
        "INSERT INTO video_queue (mal_id, episode, provider, resolution, video_url, status, attempt, created_at,"
        " updated_at, source_host, worker_id, turn)"
        " SELECT n / 24, n %% 24, 'bench', '1080p', 'https://source.example/videos/' || n || '.mp4', 'ready', 1,"
        " now() - n * interval '10 s', now() - n * interval '10 s' + interval '5 min', 'source.example', 'worker-1', n"
        " FROM generate_series(1, %s) n",
        rows,
    )
    database.run("INSERT INTO queue_total (name, n) VALUES ('ready', %s)", rows)
    database.run("ALTER TABLE video_queue ENABLE TRIGGER USER")
    for _name, definition in indexes:
        database.run(definition)
    database.run(
        "SELECT count(enqueue_video(-n, 1, 'bench', 'https://source.example/new/' || n)) FROM generate_series(1, %s) n",
        PENDING,
    )
    database.run("VACUUM ANALYZE")


def one_turn(report: Report, aged: Aged, times: int) -> None:
    """Measures one size: each thing `times` times."""
    claim = _timed(lambda: _claim(aged.database), times, after=lambda claimed: _put_back(aged.database, claimed))
    counts = _timed(lambda: aged.database.rows("SELECT * FROM get_queue_counts()"), times)
    with requests.Session() as session:
        status = _timed(lambda: session.get(aged.url, timeout=30).raise_for_status(), times)
    for what, found in (("claim", claim), ("get_queue_counts", counts), ("GET /status", status)):
        report.add(HISTORY, aged.name, f"{what} p50", "ms", median(found))
        report.add(HISTORY, aged.name, f"{what} p99", "ms", quantile(found, 0.99))


def _claim(database: Database) -> UUID:
    (found,) = database.rows("SELECT id FROM claim_videos('download', 'bench', 1, 1, interval '30 s')")
    return UUID(str(found[0]))


def _put_back(database: Database, claimed: UUID) -> None:
    database.run("SELECT reset_videos(ARRAY[%s], 'bench', 'measured')", claimed)


def _timed(work: Callable[[], T], times: int, after: Callable[[T], object] = lambda _result: None) -> list[float]:
    found = []
    for turn in range(times + 20):  # the first are a warm-up
        started = time.perf_counter()
        result = work()
        if turn >= 20:
            found.append((time.perf_counter() - started) * 1000)
        after(result)
    return found


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            requests.get(url, timeout=5).raise_for_status()
        except requests.RequestException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
