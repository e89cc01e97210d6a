"""What an operator does to jobs and workers, wherever from: the API, the admin and `manage.py` only render it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet
from django.utils.timezone import now

from queue_app import queue
from queue_app.models import VideoQueue, Worker
from queue_app.states import VideoStatus

BATCH = 1000
ENDED: tuple[VideoStatus, ...] = (VideoStatus.READY, VideoStatus.FAILED, VideoStatus.CANCELLED)


@dataclass(frozen=True)
class Outcome:
    """What became of the jobs that were named: done, refused (with the status that forbids it), or unknown."""

    done: list[UUID]
    refused: dict[UUID, str]
    unknown: list[UUID]


def cancel(ids: Iterable[UUID], *, actor: str, reason: str) -> Outcome:
    """Ends jobs short of their end; those that have ended are refused."""
    return _each(ids, lambda wanted: queue.cancel_videos(wanted, actor=actor, reason=reason))


def requeue(ids: Iterable[UUID], *, actor: str, reason: str) -> Outcome:
    """Puts failed jobs back to pending with all their attempts; others are refused."""
    only = VideoStatus.FAILED.value
    return _each(ids, lambda wanted: queue.reset_videos(wanted, actor=actor, reason=reason, only=only))


def requeue_failed(failure_class: str | None, *, actor: str, reason: str) -> int:
    """Requeues every job that has failed by now (of this class), in batches; how many."""
    # A job may fail again while the others are requeued: it isn't taken a second time.
    failed: QuerySet[VideoQueue] = VideoQueue.objects.filter(status=VideoStatus.FAILED, updated_at__lte=now())
    if failure_class:
        failed = failed.filter(failure_class=failure_class)
    done = 0
    while ids := list(failed.order_by("-updated_at", "-id").values_list("pk", flat=True)[:BATCH]):
        done += len(queue.reset_videos(ids, actor=actor, reason=reason, only=VideoStatus.FAILED.value))
    return done


def prioritise(ids: Iterable[UUID], priority: int) -> int:
    """Gives jobs this priority, whatever they do; it decides who is claimed next. Returns how many."""
    return VideoQueue.objects.filter(pk__in=list(ids)).update(priority=priority)


def drain(worker_ids: Iterable[str], *, draining: bool) -> list[str]:
    """Has workers take no more downloads, or take them again, also if they pause; the ids of those that there are."""
    workers = Worker.objects.filter(pk__in=list(worker_ids))
    found = list(workers.order_by("pk").values_list("pk", flat=True))
    if draining:
        workers.update(draining=True)
    else:
        workers.update(draining=False, paused_until=None, pause_reason="")
        queue.wake_workers()
    return found


def _each(ids: Iterable[UUID], act: Callable[[list[UUID]], list[UUID]]) -> Outcome:
    wanted = list(dict.fromkeys(ids))
    changed = set(act(wanted))
    left = [job_id for job_id in wanted if job_id not in changed]
    statuses = dict(VideoQueue.objects.filter(pk__in=left).values_list("pk", "status"))
    return Outcome(
        [job_id for job_id in wanted if job_id in changed],
        {job_id: statuses[job_id] for job_id in left if job_id in statuses},
        [job_id for job_id in left if job_id not in statuses],
    )
