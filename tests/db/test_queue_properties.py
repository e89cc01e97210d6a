"""The queue's SQL functions against a simple model, in every order that hypothesis thinks of."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from queue_app.states import IN_WORK, VideoStatus
from tests.conftest import Client

CAPACITY = 2
LANES = {"download": "downloading", "upload": "uploading"}
WORKERS = st.sampled_from(["w1", "w2"])
EPISODES = st.integers(0, 2)
LEASES = st.integers(0, 5)
"""Which lease to use: those that may write come first, then the stale ones, the newest first."""
ACCOUNTS = st.sampled_from([1, 2])
CONTENTS = st.sampled_from(["a" * 64, "b" * 64])
TABLES = (
    "video_queue, job_event, sidecar, video_store, replica, stored_file, storage_account, worker, source_host, "
    "queue_total"
)


@dataclass(frozen=True)
class Lease:
    """A token that was once given for the job of an episode."""

    episode: int
    token: UUID


@dataclass
class Job:
    """What the model believes of a row of `video_queue`."""

    id: UUID
    max_attempts: int
    status: str = "pending"
    attempt: int = 0
    retry_count: int = 0
    worker: str | None = None
    token: UUID | None = None
    started: bool = False
    due: bool = True
    expired: bool = False
    old: bool = False
    moves: int = 1
    stored: bool = False
    by_hand: bool = False

    def move(self, status: str, *, failed: bool = False) -> None:
        """To another status, or a failure in the same one: both are events."""
        if status != self.status or failed:
            self.moves += 1
        if status != self.status:
            self.old = False
        self.status = status
        self.retry_count += failed

    def let_go(self) -> None:
        """The lease is over."""
        self.token, self.started, self.expired = None, False, False

    @property
    def in_work(self) -> bool:
        return self.status in IN_WORK

    @property
    def spent(self) -> bool:
        return self.attempt >= self.max_attempts


class QueueMachine(RuleBasedStateMachine):
    """Two workers, an enqueuer and an operator on connections of their own, and time that can be moved."""

    def __init__(self, clients: list[Client]) -> None:
        super().__init__()
        self.enqueuer, self.operator, self.clock, *workers = clients
        self.workers = dict(zip(["w1", "w2"], workers, strict=True))
        self.jobs: dict[int, Job] = {}
        self.given: list[Lease] = []
        self.replicas: dict[tuple[int, int], str] = {}
        self.done: dict[str, int] = dict.fromkeys(self.workers, 0)
        self.clock.execute(f"TRUNCATE {TABLES} CASCADE")
        for index in (1, 2):
            self.clock.execute(
                "INSERT INTO storage_account (index, kind, username, root) VALUES (%s, 'local', %s, %s)",
                [index, f"u{index}", f"/u{index}"],
            )
        for name in self.workers:
            self.clock.execute(
                "INSERT INTO worker (id, host, pid, version, capacity, last_heartbeat)"
                " VALUES (%s, 'h', 1, '0', 2, now() - interval '1 day')",
                [name],
            )

    # --- the enqueuer ---

    @initialize()
    def begin_with_some(self) -> None:
        for episode in range(3):
            self.enqueue(episode)

    @rule(episode=EPISODES)
    def enqueue(self, episode: int) -> None:
        row = one(self.enqueuer, "SELECT * FROM enqueue_video(1, %s, 'p', 'https://x/v.mp4')", episode)
        job = self.jobs.setdefault(episode, Job(row["id"], max_attempts=1 + episode))
        self.clock.execute("UPDATE video_queue SET max_attempts = %s WHERE id = %s", [job.max_attempts, job.id])
        assert job.id == row["id"]
        if job.status in {"failed", "cancelled"}:
            job.move("pending")
            job.let_go()
            job.attempt, job.worker, job.due = 0, None, True

    # --- the workers ---

    @rule(worker=WORKERS, limit=st.sampled_from([3, 1, 0]))
    def claim_downloads(self, worker: str, limit: int) -> None:
        self.claim(worker, "download", limit)

    @rule(worker=WORKERS, limit=st.sampled_from([3, 1, 0]))
    def claim_uploads(self, worker: str, limit: int) -> None:
        self.claim(worker, "upload", limit)

    def claim(self, worker: str, lane: str, limit: int) -> None:
        free = max(0, min(limit, CAPACITY - self.busy(worker, lane)))
        if lane == "download":
            waiting = [job for job in self.jobs.values() if job.status == "pending" and job.due]
        else:
            waiting = [
                job
                for job in self.jobs.values()
                if job.status == "uploading" and job.worker == worker and job.token is None and job.due
            ]
        rows = self.workers[worker].execute(
            "SELECT * FROM claim_videos(%s, %s, %s, %s, interval '1 hour')", [lane, worker, CAPACITY, limit]
        )
        tokens = {row["id"]: row["lease_token"] for row in rows}
        taken = [job for job in waiting if job.id in tokens]
        assert len(taken) == len(tokens) == min(free, len(waiting))
        for job in taken:
            job.token, job.worker, job.started, job.expired = tokens[job.id], worker, False, False
            if lane == "download":
                job.attempt += 1
            job.move(LANES[lane])
        assert not tokens or self.busy(worker, lane) <= CAPACITY
        self.given[:0] = [Lease(self.episode(job_id), token) for job_id, token in tokens.items()]

    @precondition(lambda self: self.given)
    @rule(which=LEASES)
    def heartbeat(self, which: int) -> None:
        with self.fenced(which) as (lease, job):
            beat = self.call(lease, "heartbeat_video(%s, %s, interval '1 hour', 'stage', 1, 2, 3)")
            assert beat is (job is not None)
            if job:
                job.started, job.expired = True, False

    @precondition(lambda self: self.given)
    @rule(which=LEASES)
    def finish_download(self, which: int) -> None:
        with self.fenced(which, "downloading") as (lease, job):
            artifact = json.dumps({"attempt": str(lease.token), "size": 5})
            assert self.call(lease, "finish_download(%s, %s, %s)", artifact) is (job is not None)
            if job:
                job.move("uploading")
                job.let_go()

    @precondition(lambda self: self.given)
    @rule(which=LEASES, account=ACCOUNTS, content=CONTENTS)
    def record_replica(self, which: int, account: int, content: str) -> None:
        with self.fenced(which) as (lease, job):
            function = "record_replica(%s, %s, %s, 'r', %s, %s, 5, 1.0, '{}')"
            file = self.call(lease, function, account, str(lease.episode), content)
            assert (file is not None) is (job is not None)
            if job:
                self.replicas[lease.episode, account] = content

    @precondition(lambda self: self.given)
    @rule(which=LEASES)
    def reserve(self, which: int) -> None:
        with self.fenced(which, "downloading", "uploading") as (lease, job):
            assert self.call(lease, "reserve_storage(%s, %s, '{1,2}', 5)") is (job is not None)

    @precondition(lambda self: self.given)
    @rule(which=LEASES)
    def publish(self, which: int) -> None:
        with self.fenced(which, "uploading") as (lease, job):
            files = self.clock.execute("SELECT id FROM stored_file WHERE path = %s", [str(lease.episode)]).fetchall()
            if job and not files:
                return
            file = files[0]["id"] if files else uuid4()
            published = self.call(lease, "publish_video(%s, %s, %s, 'k', 1, 'u/r', 'd', 's')", file)
            assert published is (job is not None)
            if job:
                self.done[str(job.worker)] = self.done.get(str(job.worker), 0) + 1
                job.move("ready")
                job.let_go()
                job.stored, job.due = True, True

    @precondition(lambda self: self.given)
    @rule(which=LEASES, permanent=st.booleans(), lost=st.booleans())
    def fail(self, which: int, permanent: bool, lost: bool) -> None:
        with self.fenced(which) as (lease, job):
            status = self.call(lease, "fail_video(%s, %s, 'internal', 'cut', %s, %s)", permanent, lost)
            assert (status is not None) is (job is not None)
            if job is None:
                return
            stays = job.status == "uploading" and not lost
            expected = "failed" if permanent or job.spent else "uploading" if stays else "pending"
            job.attempt += expected == "uploading"
            job.move(expected, failed=True)
            job.let_go()
            job.due = expected == "failed"
            # Its wait is random: make it long, `wait` ends it.
            self.clock.execute(
                "UPDATE video_queue SET not_before = now() + interval '1 hour'"
                " WHERE id = %s AND not_before IS NOT NULL",
                [job.id],
            )
            assert status == expected

    @rule(worker=WORKERS, charge=st.booleans())
    def release_worker_videos(self, worker: str, charge: bool) -> None:
        held = [job for job in self.jobs.values() if job.in_work and job.worker == worker and job.token]
        count = one(self.workers[worker], "SELECT release_worker_videos(%s, 'stopped', %s) AS n", worker, charge)
        assert count["n"] == len(held)
        for job in held:
            self.end_attempt(job, charge=charge)

    @rule(worker=WORKERS, lane=st.sampled_from(list(LANES)))
    def release_lane_videos(self, worker: str, lane: str) -> None:
        held = [j for j in self.jobs.values() if j.status == LANES[lane] and j.worker == worker and j.token]
        count = one(self.workers[worker], "SELECT release_lane_videos(%s, %s, 'deaf') AS n", worker, lane)
        assert count["n"] == len(held)
        for job in held:
            if job.started or job.status == "downloading":
                self.end_attempt(job, charge=job.started)
            else:
                job.let_go()

    @rule(worker=WORKERS)
    def release_expired_leases(self, worker: str) -> None:
        lost = [job for job in self.jobs.values() if job.in_work and (job.expired if job.token else job.old)]
        count = one(self.workers[worker], "SELECT release_expired_leases(interval '1 hour') AS n")
        assert count["n"] == len(lost)
        for job in lost:
            job.move("failed" if job.spent else "pending", failed=True)
            job.let_go()

    # --- the operator ---

    @rule(episode=EPISODES, only=st.sampled_from([None, "failed", "downloading"]))
    def reset(self, episode: int, only: str | None) -> None:
        if job := self.jobs.get(episode):
            rows = self.operator.execute("SELECT * FROM reset_videos(%s, 'op', 'again', %s)", [[job.id], only])
            hit = only in {None, job.status}
            assert len(rows.fetchall()) == hit
            if hit:
                job.move("pending")
                job.let_go()
                job.attempt, job.worker, job.due, job.by_hand = 0, None, True, True

    @rule(episode=EPISODES, status=st.sampled_from(VideoStatus.values))
    def update_status(self, episode: int, status: str) -> None:
        job = self.jobs.get(episode)
        if job is None:
            return
        row = one(self.operator, "SELECT * FROM update_video_queue_status(%s, %s, 'by hand')", job.id, status)
        held = job.token
        job.move(status, failed=status == "failed")
        job.let_go()
        if job.in_work:
            assert row["lease_token"] == (held or row["lease_token"])
            job.token, job.started = row["lease_token"], True
        job.attempt = 0 if status == "pending" else job.attempt
        job.due, job.by_hand = True, True
        if job.token and job.token != held:
            self.given.insert(0, Lease(episode, job.token))

    # --- time ---

    @precondition(lambda self: any(job.token for job in self.jobs.values()))
    @rule(which=LEASES)
    def let_a_lease_run_out(self, which: int) -> None:
        leased = [job for job in self.jobs.values() if job.token]
        job = leased[which % len(leased)]
        self.clock.execute(
            "UPDATE video_queue SET lease_expires_at = now() - interval '1 second' WHERE id = %s", [job.id]
        )
        job.expired = True

    @rule(episode=EPISODES)
    def let_the_host_fall_silent(self, episode: int) -> None:
        self.clock.execute(
            "UPDATE video_queue SET updated_at = now() - interval '2 hours' WHERE episode = %s", [episode]
        )
        if job := self.jobs.get(episode):
            job.old = True

    @rule(episode=EPISODES)
    def wait(self, episode: int) -> None:
        self.clock.execute("UPDATE video_queue SET not_before = NULL WHERE episode = %s", [episode])
        if job := self.jobs.get(episode):
            job.due = True

    # --- what must hold ---

    @invariant()
    def rows_are_as_the_model_says(self) -> None:
        rows = self.rows()
        assert {row["episode"]: _seen(row) for row in rows} == {n: _believed(job) for n, job in self.jobs.items()}
        assert all(row["attempt"] <= row["max_attempts"] for row in rows)
        tokens = [row["lease_token"] for row in rows if row["lease_token"]]
        assert len(tokens) == len(set(tokens))

    @invariant()
    def every_change_has_its_event(self) -> None:
        events = self.clock.execute("SELECT episode, from_status, to_status FROM job_event e"
            " JOIN video_queue q ON q.id = e.job_id ORDER BY e.id").fetchall()  # fmt: skip
        for episode, job in self.jobs.items():
            moves = [(event["from_status"], event["to_status"]) for event in events if event["episode"] == episode]
            assert len(moves) == job.moves
            assert [move[0] for move in moves] == ["", *(move[1] for move in moves[:-1])]
            assert moves[-1][1] == job.status

    @invariant()
    def what_is_stored_is_ready(self) -> None:
        stored = {row["episode"] for row in self.clock.execute("SELECT episode FROM video_store")}
        assert stored == {episode for episode, job in self.jobs.items() if job.stored}
        untouched = {episode: job for episode, job in self.jobs.items() if not job.by_hand}
        assert all((job.status == "ready") == (episode in stored) for episode, job in untouched.items())

    @invariant()
    def room_is_reserved_for_jobs_in_work_only(self) -> None:
        reserved = {row["job"] for row in self.clock.execute("SELECT job FROM storage_reservation")}
        assert reserved <= {job.id for job in self.jobs.values() if job.status in {"downloading", "uploading"}}

    @invariant()
    def copies_and_counters_are_those_of_live_leases(self) -> None:
        copies = self.clock.execute(
            "SELECT f.path, r.account_id, f.sha256 FROM replica r JOIN stored_file f ON f.id = r.stored_file_id"
        ).fetchall()
        found = {(int(row["path"]), row["account_id"]): row["sha256"] for row in copies}
        assert (found, len(copies)) == (self.replicas, len(found))
        stats = self.clock.execute("SELECT id, done FROM get_worker_stats()").fetchall()
        assert {row["id"]: row["done"] for row in stats} == {name: self.done[name] for name in self.workers}

    # --- how ---

    @contextmanager
    def fenced(self, which: int, *statuses: str) -> Iterator[tuple[Lease, Job | None]]:
        """A lease, and its job if it may write (in one of these statuses, if given); else nothing may change."""

        def may_write(lease: Lease) -> bool:
            job = self.jobs[lease.episode]
            return job.token == lease.token and (not statuses or job.status in statuses)

        able_first = sorted(self.given, key=may_write, reverse=True)
        lease = able_first[which % len(able_first)]
        if may_write(lease):
            yield lease, self.jobs[lease.episode]
            return
        before = self.rows()
        yield lease, None
        assert self.rows() == before

    def call(self, lease: Lease, function: str, *arguments: Any) -> Any:
        """One SQL function that takes a job's id and its token first."""
        job = self.jobs[lease.episode]
        client = self.workers.get(job.worker or "", self.operator)
        return one(client, f"SELECT {function} AS value", job.id, lease.token, *arguments)["value"]

    def end_attempt(self, job: Job, *, charge: bool) -> None:
        spent, uploading = job.spent, job.status == "uploading"
        if uploading:
            job.attempt = min(job.attempt + charge, job.max_attempts)
        elif not charge:
            job.attempt = max(job.attempt - 1, 0)
        job.move("failed" if charge and spent else "uploading" if uploading else "pending", failed=charge)
        job.let_go()

    def busy(self, worker: str, lane: str) -> int:
        return sum(job.status == LANES[lane] and job.worker == worker and bool(job.token) for job in self.jobs.values())

    def episode(self, job_id: UUID) -> int:
        return next(episode for episode, job in self.jobs.items() if job.id == job_id)

    def rows(self) -> list[dict[str, Any]]:
        return self.clock.execute("SELECT * FROM video_queue ORDER BY created_at").fetchall()


def test_the_queue_keeps_its_promises_in_every_order(connect: Callable[[], Client]) -> None:
    clients = [connect() for _ in range(5)]
    for client in clients:
        client.execute("SET synchronous_commit = off")

    class Machine(QueueMachine):
        def __init__(self) -> None:
            super().__init__(clients)

    moderate = settings(
        max_examples=100, stateful_step_count=50, deadline=None, print_blob=True, derandomize="CI" in os.environ
    )
    run_state_machine_as_test(Machine, settings=moderate)


def one(client: Client, statement: str, *arguments: Any) -> dict[str, Any]:
    row = client.execute(statement, arguments).fetchone()
    assert row is not None
    return row


def _seen(row: dict[str, Any]) -> tuple[object, ...]:
    return row["status"], row["attempt"], row["retry_count"], row["worker_id"], row["lease_token"]


def _believed(job: Job) -> tuple[object, ...]:
    return job.status, job.attempt, job.retry_count, job.worker, job.token
