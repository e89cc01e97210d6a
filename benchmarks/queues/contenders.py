"""Who is measured: how each makes its tables, starts its workers, is given jobs and shows how many are done."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.queues.server import ROOT, Database, Server, python, running

READY_SECONDS = 60


@dataclass
class Contender:
    """One way to queue. The statements speak to its own tables; `settings` is its Django settings module."""

    name: str
    key: str
    settings: str
    prepare: list[list[str]]
    worker: list[str]
    fill: str
    clear: str
    left: str
    variant: dict[str, str] = field(default_factory=dict)
    copies_are_processes: bool = False
    is_variant: bool = False
    given: int = 0
    database: Database = field(init=False)
    folder: Path = field(init=False)

    def set_up(self, server: Server) -> None:
        """Make the database and its tables."""
        self.database = Database(server.create(f"bench_{self.key}"))
        self.folder = server.folder / self.key
        self.folder.mkdir()
        for command in self.prepare:
            subprocess.run(command, cwd=ROOT, env=_environment(self.environment()), check=True)

    def environment(self, processes: int = 1) -> dict[str, str]:
        """What its processes are given."""
        return {
            "DATABASE_URL": self.database.dsn,
            "DJANGO_SETTINGS_MODULE": self.settings,
            "REELKEEP_DATA": str(self.folder),
            "SECRET_KEY": "a-benchmark-needs-no-secret-but-django-wants-a-long-one",
            "HF_FILE_SALT": "bench",
            "LOG_LEVEL": "WARNING",
            "BENCH_PROCESSES": str(processes),
            "MAX_CONCURRENT": str(processes),
            **self.variant,
        }

    @contextmanager
    def workers(self, processes: int, extra: dict[str, str] | None = None) -> Iterator[None]:
        """Its workers, `processes` at a time, warm: each has had the occasion to do some jobs."""
        self.empty()
        environment = self.environment(processes) | (extra or {})
        copies = processes if self.copies_are_processes else 1
        with running(self.worker, environment, copies, self.folder / "worker.log"):
            self.give(20 * processes)
            self.wait_until_done()
            self.empty()
            yield

    def empty(self) -> None:
        """Remove all jobs."""
        self.database.run(self.clear)
        self.given = 0

    def give(self, jobs: int) -> None:
        """Enqueue that many jobs in one transaction, which also tells the planner of them."""
        with self.database.transaction():
            self.database.run(self.fill, jobs)
            self.database.run("ANALYZE")
        self.given += jobs

    def done(self) -> int:
        """How many of the given jobs are done."""
        return self.given - self.database.number(self.left)

    def wait_until_done(self) -> None:
        """Until nothing is left to do. Raises TimeoutError."""
        deadline = time.monotonic() + READY_SECONDS
        while self.done() < self.given:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name}: its workers don't work, see {self.folder}/worker.log")
            time.sleep(0.05)

    def client(self, what: str, seconds: float, extra: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """A measuring process (`benchmarks.queues.client`) that says "ready" and begins when it is written to."""
        return subprocess.Popen(
            python("-m", "benchmarks.queues.client", self.key, what, str(seconds)),
            cwd=ROOT,
            env=_environment(self.environment() | (extra or {})),
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )


def ours() -> Contender:
    """Reelkeep: the real worker, with the download lane alone, whose videos take no time."""
    return Contender(
        name="Reelkeep",
        key="reelkeep",
        settings="benchmarks.queues.ours_settings",
        prepare=[python("manage.py", "migrate", "--verbosity", "0")],
        worker=python("-m", "benchmarks.queues.ours_worker"),
        fill="INSERT INTO video_queue (mal_id, episode, provider, video_url, turn)"
        " SELECT n, 1, 'bench', 'https://source.example/' || n || '.mp4', 0"
        " FROM (SELECT coalesce(max(mal_id), 0) AS last FROM video_queue) q, generate_series(last + 1, last + %s) n",
        clear="TRUNCATE video_queue, job_event, queue_total",
        left="SELECT count(*) FROM video_queue WHERE status IN ('pending', 'downloading')",
    )


def procrastinate(concurrency: int) -> Contender:
    """procrastinate: `processes` worker processes with `concurrency` asynchronous jobs each."""
    return Contender(
        name=f"procrastinate ×{concurrency}",
        key="procrastinate",
        settings="benchmarks.queues.django_q_settings",
        prepare=[python("-m", "benchmarks.queues.procrastinate_main", "schema")],
        worker=python("-m", "benchmarks.queues.procrastinate_main", "worker"),
        fill="SELECT count(*) FROM unnest(procrastinate_defer_jobs_v1(ARRAY(SELECT ROW('default', 'noop', 0, NULL,"
        " NULL, '{}', NULL)::procrastinate_job_to_defer_v1 FROM generate_series(1, %s)))) id",
        clear="TRUNCATE procrastinate_jobs CASCADE",
        left="SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')",
        variant={"BENCH_CONCURRENCY": str(concurrency)},
        copies_are_processes=True,
    )


def django_q() -> Contender:
    """django-q2 with its own ORM broker: no results kept, 20 tasks a fetch, persistent connections."""
    return Contender(
        name="django-q2 ORM",
        key="django_q",
        settings="benchmarks.queues.django_q_settings",
        prepare=[
            python("manage.py", "migrate", "--verbosity", "0"),
            python("-m", "benchmarks.queues.django_q_tasks"),
        ],
        worker=python("manage.py", "qcluster"),
        fill="INSERT INTO django_q_ormq (key, payload, lock)"
        " SELECT 'bench', (SELECT payload FROM bench_task), now() FROM generate_series(1, %s)",
        clear="TRUNCATE django_q_ormq",
        left="SELECT count(*) FROM django_q_ormq",
    )


def _environment(extra: dict[str, str]) -> dict[str, str]:
    return {**os.environ, **extra}
