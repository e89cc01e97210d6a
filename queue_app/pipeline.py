"""The stages of a job, as the tasks that django-q2 runs: download and prove, then copy and publish.

Each task holds a lease. It ends in one of three ways: the next state is written under the lease's token; the failure
is; or the lease was lost, and then nothing is written at all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from queue_app import queue, scratch
from queue_app.artifact import ArtifactLost, folder_of, key_of, own_place
from queue_app.download_stage import fetch_and_prove
from queue_app.failures import Cancelled, DiskFull, Internal, classify
from queue_app.heartbeat import Heartbeat
from queue_app.models import VideoQueue
from queue_app.next_job import Spell
from queue_app.patience import through_outages
from queue_app.queue import Lease
from queue_app.send_ahead import drop_ahead
from queue_app.states import Lane
from queue_app.upload_stage import store_and_publish
from storage_app.backends.base import StorageError

log = logging.getLogger(__name__)


def run_download(job_id: str, token: str) -> None:
    """Task of the download lane: fetch, remux if need be, prove whole, hand over to the upload lane."""
    _run_all(Lane.DOWNLOAD, Lease(UUID(job_id), UUID(token)), fetch_and_prove)


def run_upload(job_id: str, token: str) -> None:
    """Task of the upload lane: copy to every account that lacks it, then publish."""
    _run_all(Lane.UPLOAD, Lease(UUID(job_id), UUID(token)), store_and_publish)


def _run_all(lane: Lane, lease: Lease, work: Callable[[VideoQueue, Lease, Heartbeat], None]) -> None:
    spell = Spell(lane)
    job = through_outages(lambda: queue.start_video(lease, lane.value))
    if job is None:
        log.info("Job %s: the lease is gone, nothing done.", lease.job_id)
        return
    while job is not None and job.lease_token is not None:
        _run(job, Lease(job.id, job.lease_token), lane.value, work)
        job = spell.next_job()


def _run(job: VideoQueue, lease: Lease, stage: str, work: Callable[[VideoQueue, Lease, Heartbeat], None]) -> None:
    try:
        with Heartbeat(lease, timedelta(seconds=settings.LEASE_SECONDS), stage) as heartbeat:
            work(job, lease, heartbeat)
    except Cancelled as reason:
        log.info("%s: stopped. %s", job, reason)
        _sweep()
    except Exception as error:  # noqa: BLE001 (whatever it was, the job must end in a state that an operator can read)
        _fail(job, lease, error)


def _sweep() -> None:
    """Remove what was left, unless an attempt will come that can go on with it; the queue knows."""
    try:
        scratch.sweep(settings.WORKER_ID)
    except (OperationalError, InterfaceError):
        connection.close()  # the worker sweeps again and again


def _fail(job: VideoQueue, lease: Lease, error: Exception) -> None:
    failure = classify(error)
    if isinstance(failure, Internal):
        log.error("%s: %s", job, failure, exc_info=error)
    if isinstance(failure, DiskFull):
        through_outages(lambda: scratch.make_room(settings.WORKER_ID, job.id))
    lost, account = isinstance(failure, ArtifactLost), error.account if isinstance(error, StorageError) else None
    status = through_outages(lambda: queue.fail_video(lease, failure, artifact_lost=lost, account=account))
    log.warning("%s: %s (%s), now %s.", job, failure, failure.failure_class, status or "another worker's")
    if failure.permanent or status == "failed":
        scratch.discard(scratch.folder(settings.WORKER_ID, lease))
    if status == "failed" and settings.SEND_AHEAD:
        drop_ahead(own_place(key_of(job)))
    if status == "failed" and job.artifact:
        scratch.discard(folder_of(job))
