"""One Python function for each SQL function of the queue. The rules themselves live in `migrations/sql`.

All of these commit at once (autocommit) unless the caller is inside a transaction. Those that take a lease token are
fenced: called by a worker that no longer holds the lease they change nothing and say so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models.query import RawQuerySet

from queue_app.failures import Failure
from queue_app.models import VideoQueue
from queue_app.states import IN_WORK, Lane, VideoStatus
from storage_app.naming import VideoKey


@dataclass(frozen=True)
class Lease:
    """The right to work at one job: its id, and the token that every write must carry."""

    job_id: UUID
    token: UUID


def enqueue_video(key: VideoKey, video_url: str, page_url: str = "", mirrors: Sequence[str] = ()) -> VideoQueue:
    """The job of this key: inserted, revived if it had failed or was cancelled, else left as it is."""
    with transaction.atomic():
        rows: RawQuerySet[VideoQueue] = VideoQueue.objects.raw(
            "SELECT * FROM enqueue_video(%s, %s, %s, %s, %s)",
            [key.mal_id, key.episode, key.provider, video_url, key.resolution],
        )
        job: VideoQueue = rows[0]
        if page_url or mirrors:
            _rows("SELECT set_video_source(%s, %s, %s, %s)", job.id, video_url, page_url, json.dumps(list(mirrors)))
    return job


@dataclass(frozen=True)
class Enqueued:
    """What became of one video of a list. `before` is the status its job had; None: there was no job."""

    job_id: UUID | None
    status: str
    before: str | None


def enqueue_videos(videos: Sequence[Mapping[str, Any]], *, dry_run: bool = False) -> list[Enqueued]:
    """`enqueue_video` for each of these (key, video_url, perhaps priority), all or none; the results in their order."""
    rows = _rows("SELECT * FROM enqueue_videos(%s, %s) ORDER BY place", json.dumps(videos), dry_run)
    return [Enqueued(*row[1:]) for row in rows]


def claim_videos(lane: Lane, worker_id: str, *, capacity: int, limit: int, lease: timedelta) -> list[Lease]:
    """Up to `limit` jobs of the lane, never more than leave this worker `capacity` of them at once."""
    statement = "SELECT id, lease_token FROM claim_videos(%s, %s, %s, %s, %s)"
    return [Lease(*row) for row in _rows(statement, lane.value, worker_id, capacity, limit, lease)]


def claim_video(lane: Lane, worker_id: str, *, capacity: int, lease: timedelta) -> VideoQueue | None:
    """One job of the lane for the calling process to start at once, within the same limits; None when there is none."""
    jobs: RawQuerySet[VideoQueue] = VideoQueue.objects.raw(
        "SELECT * FROM claim_videos(%s, %s, %s, 1, %s, true)", [lane.value, worker_id, capacity, lease]
    )
    return next(iter(jobs), None)


def start_video(lease: Lease, stage: str) -> VideoQueue | None:
    """Says that a task has begun with a claimed job; the job, or None when the lease was lost."""
    jobs: RawQuerySet[VideoQueue] = VideoQueue.objects.raw(
        "SELECT * FROM start_video(%s, %s, %s)", [lease.job_id, lease.token, stage]
    )
    return next(iter(jobs), None)


def wake(lane: Lane) -> None:
    """Have the lane's workers look at the queue."""
    _value("SELECT pg_notify(%s, '')", f"video_queue_{lane}")


def heartbeat_video(
    lease: Lease, period: timedelta, stage: str, bytes_done: int, bytes_total: int | None, speed: int | None
) -> bool:
    """Writes progress (bytes, bytes per second) and renews the lease for `period`; False when it was lost."""
    return bool(
        _value(
            "SELECT heartbeat_video(%s, %s, %s, %s, %s, %s, %s)",
            lease.job_id, lease.token, period, stage, bytes_done, bytes_total, speed,
        )
    )  # fmt: skip


def finish_download(lease: Lease, artifact: dict[str, Any]) -> bool:
    """Hands the downloaded file to this worker's upload lane; False when the lease was lost."""
    return bool(_value("SELECT finish_download(%s, %s, %s)", lease.job_id, lease.token, json.dumps(artifact)))


@dataclass(frozen=True)
class Place:
    """Where a content lies, or is to lie, on every account: repository (without its user) and path."""

    repo: str
    path: str


def settle_content(lease: Lease, own: Place, sha256: str) -> Place | None:
    """Where this content is to be stored: where it lies already, else at `own`.

    None when the lease is gone: lost, or given back because another job is storing the same content right now.
    """
    statement = "SELECT verdict, repo_, path_ FROM settle_content(%s, %s, %s, %s, %s)"
    rows = _rows(statement, lease.job_id, lease.token, own.repo, own.path, sha256)
    return Place(*rows[0][1:]) if rows and rows[0][0] != "wait" else None


def record_replica(
    lease: Lease,
    account: int,
    place: Place,
    content: Mapping[str, Any],
    *,
    etag: str = "",
    copies_wanted: int | None = None,
) -> UUID | None:
    """Writes down a confirmed copy of `content` (sha256, size, and if it has them media, proof, content_type); the
    stored file's id, or None when the lease was lost."""
    media, proof = content.get("media", {}), content.get("proof")
    value = _value(
        "SELECT record_replica(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        lease.job_id, lease.token, account, place.repo, place.path, content["sha256"], content["size"],
        media.get("duration", 0), json.dumps(media), proof and json.dumps(proof),
        content.get("content_type", "video/mp4"), etag, copies_wanted,
    )  # fmt: skip
    return value if isinstance(value, UUID) else None


def reserve_storage(lease: Lease, accounts: Sequence[int], size: int) -> bool:
    """Notes the bytes that a job is going to fill on each of these accounts; False when the lease was lost."""
    return bool(_value("SELECT reserve_storage(%s, %s, %s, %s)", lease.job_id, lease.token, list(accounts), size))


def pause_account(account: int, reason: str, seconds: float | None = None) -> datetime:
    """Sends an account to rest: for so many seconds, or longer with each pause since its last success. Until when."""
    until: datetime = _value("SELECT pause_account(%s, %s, %s)", account, reason, seconds)
    return until


def publish_video(
    lease: Lease,
    stored_file: UUID,
    *,
    file_key: str,
    account: int,
    repo: str,
    direct_url: str,
    stream_url: str,
    title: str = "",
    sidecars: Sequence[Mapping[str, str]] = (),
) -> bool:
    """Stores the result and sets the job ready, in one transaction; False when the lease was lost.

    `sidecars` have stored_file, kind, language and name.
    """
    return bool(
        _value(
            "SELECT publish_video(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            lease.job_id, lease.token, stored_file, file_key, account, repo, direct_url, stream_url, title,
            json.dumps(list(sidecars)),
        )
    )  # fmt: skip


def fail_video(
    lease: Lease, failure: Failure, *, artifact_lost: bool = False, account: int | None = None
) -> str | None:
    """Ends an attempt with its failure; the job's new status, or None when the lease was lost.

    `account` is the storage account whose failure it was: that one is paused, and no attempt is burnt.
    """
    value = _value(
        "SELECT fail_video(%s, %s, %s, %s, %s, %s, %s, %s)",
        lease.job_id, lease.token, failure.failure_class, str(failure), failure.permanent, artifact_lost, account,
        failure.details,
    )  # fmt: skip
    return None if value is None else str(value)


def release_worker_videos(worker_id: str, reason: str, *, charge: bool) -> int:
    """Ends all leases of a worker; `charge` counts the attempt. Returns how many."""
    return int(_value("SELECT release_worker_videos(%s, %s, %s)", worker_id, reason, charge))


def unstarted_videos(worker_id: str) -> dict[UUID, Lane]:
    """The lease tokens of what this worker has claimed and no task has begun yet, each with its lane."""
    unstarted = VideoQueue.objects.filter(worker_id=worker_id, status__in=IN_WORK, stage="claimed")
    return {
        token: Lane.DOWNLOAD if status == VideoStatus.DOWNLOADING else Lane.UPLOAD
        for token, status in unstarted.values_list("lease_token", "status")
        if token
    }


def release_lane_videos(worker_id: str, lane: Lane, reason: str) -> int:
    """Ends all leases of a worker's lane that was killed; counts the attempt of what had started. Returns how many."""
    return int(_value("SELECT release_lane_videos(%s, %s, %s)", worker_id, lane.value, reason))


def release_expired_leases(silence: timedelta) -> int:
    """Takes back what dead workers held, from any host; `silence` is how long a worker may say nothing."""
    return int(_value("SELECT release_expired_leases(%s)", silence))


def reset_videos(ids: Iterable[UUID], *, actor: str, reason: str, only: str | None = None) -> list[UUID]:
    """Puts jobs back to pending with all their attempts, whatever they do; only those in status `only` if given."""
    return [job_id for (job_id,) in _rows("SELECT * FROM reset_videos(%s, %s, %s, %s)", list(ids), actor, reason, only)]


def cancel_videos(ids: Iterable[UUID], *, actor: str, reason: str) -> list[UUID]:
    """Ends jobs short of their end; their workers stop at the next heartbeat. The ids of those cancelled."""
    return [job_id for (job_id,) in _rows("SELECT * FROM cancel_videos(%s, %s, %s)", list(ids), actor, reason)]


def get_queue_counts() -> dict[str, int]:
    """Jobs by status, and `archived` videos."""
    return dict(_rows("SELECT name, n FROM get_queue_counts()"))


def wake_workers() -> None:
    """Has idle workers look for something to download now rather than at their next poll."""
    wake(Lane.DOWNLOAD)


def fold_queue_totals() -> int:
    """Puts one row in the place of a total's many; how many rows that saved."""
    return int(_value("SELECT fold_queue_totals()"))


def purge_history(events: timedelta, ended: timedelta | None, batch: int) -> int:
    """Removes up to `batch` events older than `events`, and jobs that ended longer ago than `ended` (None: no job)."""
    return int(_value("SELECT purge_history(%s, %s, %s)", events, ended, batch))


def cleanup_old_transcoding_jobs(keep: timedelta) -> int:
    """Removes media jobs that ended longer than `keep` ago; how many."""
    return int(_value("SELECT cleanup_old_transcoding_jobs(%s)", keep))


def _value(statement: str, *arguments: Any) -> Any:
    rows = _rows(statement, *arguments)
    return rows[0][0] if rows else None


def _rows(statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
