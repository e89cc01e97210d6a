"""What must be true after the chaos. Every complaint tells what happened to the job it is about."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from storage_app.backends.local import LocalBackend
from tests.chaos.database import Database
from tests.chaos.host import Host
from tests.chaos.library import WORK, Library, Video

Job = dict[str, Any]


def settled(database: Database, count: int, hosts: list[Host]) -> bool:
    """Whether `count` videos are ready and every host's worker is up, so that it can be stopped in order."""
    ready = database.ask("SELECT 1 FROM video_queue WHERE status = 'ready'")
    up = {(row["id"], row["pid"]) for row in database.ask("SELECT id, pid FROM worker WHERE stopped_at IS NULL")}
    return len(ready) == count and {(host.name, host.pid) for host in hosts} <= up


class Verdict:
    """Compares the database and the disks with the library, after all workers were stopped."""

    def __init__(self, database: Database, library: Library, accounts: list[Path], hosts: list[Host]) -> None:
        self._database = database
        self._library = library
        self._accounts = accounts
        self._hosts = hosts
        self._jobs: dict[int, Job] = {job["episode"]: job for job in database.ask("SELECT * FROM video_queue")}

    def complaints(self) -> list[str]:
        """Everything that is wrong; empty when nothing was lost and nothing done twice."""
        return [
            *self._of_each_video(),
            *self._of_what_is_too_much(),
            *self._of_events(),
            *self._of_counts(),
            *self._of_hosts(),
        ]

    def _of_each_video(self) -> Iterator[str]:
        for video in self._library.videos:
            job = self._jobs.get(video.episode)
            if job is None:
                yield f"Video {video.episode} is not in the queue at all."
                continue
            for fault in (*_faults_of_row(job), *self._faults_of_copies(video)):
                yield self._story(job, fault)

    def _faults_of_copies(self, video: Video) -> Iterator[str]:
        copies = self._database.ask(
            "SELECT f.repo, f.path, a.root FROM video_store s JOIN stored_file f ON f.id = s.stored_file_id"
            " JOIN replica r ON r.stored_file_id = f.id JOIN storage_account a ON a.index = r.account_id"
            " WHERE s.mal_id = %s AND s.episode = %s",
            WORK,
            video.episode,
        )
        if sorted(copy["root"] for copy in copies) != sorted(map(str, self._accounts)):
            yield f"its copies are recorded on {[copy['root'] for copy in copies]}"
        for copy in copies:
            file = Path(copy["root"], copy["repo"], copy["path"])
            if not file.is_file():
                yield f"{file} is missing"
            elif file.read_bytes() != video.content:
                yield f"{file} has other bytes than the source"

    def _of_what_is_too_much(self) -> Iterator[str]:
        count = len(self._library.videos)
        # Beside each video lies its manifest.
        expected = {"video_queue": count, "video_store": count, "stored_file": 2 * count, "replica": 4 * count}
        for table, rows in expected.items():
            [found] = self._database.ask(f"SELECT count(*) AS n FROM {table}")
            if found["n"] != rows:
                yield f"{table} has {found['n']} rows, not {rows}"
        wanted = {row["place"] for row in self._database.ask("SELECT repo || '/' || path AS place FROM stored_file")}
        for account in self._accounts:
            _forget_head_starts(account)
            for file in account.rglob("*"):
                if file.is_file() and str(file.relative_to(account)) not in wanted:
                    yield self._story(self._job_of(file), f"{file} belongs to nothing")

    def _of_events(self) -> Iterator[str]:
        for job in self._jobs.values():
            events = self._events(job)
            moves = [(event["from_status"], event["to_status"]) for event in events]
            if [move[0] for move in moves] != ["", *(move[1] for move in moves[:-1])]:
                yield self._story(job, "an event does not start where the one before ended")
            if moves[-1][1] != job["status"]:
                yield self._story(job, "the last event does not tell the status")
            if [move[1] for move in moves].count("ready") != 1:
                yield self._story(job, "it did not become ready exactly once")

    def _of_counts(self) -> Iterator[str]:
        # Exactly: a video is counted in the transaction that makes it ready, which only the lease's holder can commit.
        stats = self._database.ask("SELECT * FROM get_worker_stats()")
        if sum(worker["done"] for worker in stats) != len(self._library.videos):
            yield f"the workers say that they have done another number: {stats}"
        if any(worker["active_jobs"] for worker in stats):
            yield f"a worker is said to be at work still: {stats}"

    def _of_hosts(self) -> Iterator[str]:
        for host in self._hosts:
            _, alive = psutil.wait_procs(host.ever_started(), timeout=10)
            for process in alive:
                yield f"{host.name}: {process} outlived its worker"
            if left := host.scratch():
                yield f"{host.name} left in its work folder: {[str(path) for path in left]}"

    def _job_of(self, file: Path) -> Job | None:
        """Files lie under <repo>/<work>/ep<episode>/."""
        return self._jobs.get(int(file.parent.name.removeprefix("ep")))

    def _story(self, job: Job | None, fault: str) -> str:
        if job is None:
            return fault
        lines = [
            f"  {event['at']:%X.%f} {event['from_status'] or '–'} → {event['to_status']} by {event['actor']}, "
            f"attempt {event['attempt']} {event['failure_class']} {event['reason']}"
            for event in self._events(job)
        ]
        return "\n".join([f"Video {job['episode']} ({job['id']}): {fault}.", *lines])

    def _events(self, job: Job) -> list[dict[str, Any]]:
        return self._database.ask("SELECT * FROM job_event WHERE job_id = %s ORDER BY id", job["id"])


def _faults_of_row(job: Job) -> Iterator[str]:
    if job["status"] != "ready":
        yield f"it is {job['status']}, not ready; {job['error_message']}; waits until {job['not_before']}"
    if job["lease_token"] is not None or job["lease_expires_at"] is not None:
        yield "it still has a lease"


def _forget_head_starts(account: Path) -> None:
    """Let days pass for what was sent ahead by somebody who woke up late and was killed: measuring forgets it then."""
    days_ago = time.time() - 4 * 24 * 3600
    for part in account.rglob(".*.ahead.*.part"):
        os.utime(part, (days_ago, days_ago))
    LocalBackend(account).capacity()
