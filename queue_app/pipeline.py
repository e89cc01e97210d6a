"""The stages of a job, as the tasks that django-q2 runs: download and prove, then copy and publish.

Each task holds a lease. It ends in one of three ways: the next state is written under the lease's token; the failure
is; or the lease was lost, and then nothing is written at all.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from archive_site.safe_http import Policy
from queue_app import queue, scratch
from queue_app.downloaders import Downloaded, Limits, Source, download
from queue_app.failures import BadSource, Cancelled, DiskFull, Internal, Transient, classify
from queue_app.heartbeat import Heartbeat
from queue_app.media.ffmpeg import find_tools
from queue_app.media.probe import probe
from queue_app.media.proof import PROOF_SECONDS, prove, sha256_file
from queue_app.media.remux import needs_remux, remux_to_mp4
from queue_app.models import VideoQueue
from queue_app.next_job import Spell
from queue_app.patience import through_outages
from queue_app.queue import Lease
from queue_app.states import Lane
from storage_app.backends import backend_for
from storage_app.backends.base import StorageError
from storage_app.models import Replica
from storage_app.naming import VideoKey
from storage_app.playback.urls import stream_url
from storage_app.upload import upload

log = logging.getLogger(__name__)


class ArtifactLost(Internal):
    """The downloaded file is no longer on this host's disk."""


def run_download(job_id: str, token: str) -> None:
    """Task of the download lane: fetch, remux if need be, prove whole, hand over to the upload lane."""
    _run_all(Lane.DOWNLOAD, Lease(UUID(job_id), UUID(token)), _download)


def run_upload(job_id: str, token: str) -> None:
    """Task of the upload lane: copy to every account that lacks it, then publish."""
    _run_all(Lane.UPLOAD, Lease(UUID(job_id), UUID(token)), _upload)


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
    if status == "failed" and job.artifact:
        scratch.discard(_attempt_of(job))


def _download(job: VideoQueue, lease: Lease, heartbeat: Heartbeat) -> None:
    with scratch.held(settings.WORKER_ID, lease) as folder:
        with heartbeat.interrupting():
            fetched = download(
                Source(job.video_url, job.resolution),
                folder,
                policy=Policy(allow_hosts=settings.FETCH_ALLOW_HOSTS),
                limits=Limits(max_bytes=settings.MAX_VIDEO_BYTES),
                progress=heartbeat.progress,
            )
        try:
            artifact = _prove_whole(fetched, folder / "video.mp4", lease, heartbeat)
        except BadSource as failure:
            scratch.discard(folder)
            if not fetched.resumed:
                raise
            reason = "The resumed download did not prove to be whole; it starts again from zero."
            raise Transient(f"{reason} {failure}") from failure
        _hand_over(job, lease, artifact)
        if artifact["name"] != fetched.path.name:
            fetched.path.unlink(missing_ok=True)


def _prove_whole(fetched: Downloaded, remuxed: Path, lease: Lease, heartbeat: Heartbeat) -> dict[str, Any]:
    """What the upload lane has to know of the proven file: the fetched one, or `remuxed` if it had to become an MP4."""
    tools = find_tools(settings.FFMPEG, settings.FFPROBE)
    # Of an earlier attempt, whose ffmpeg could outlive it where `setpriv` is missing: let it write into nowhere.
    for left in (remuxed, remuxed.with_name(f"{remuxed.name}.part")):
        left.unlink(missing_ok=True)
    heartbeat.enter("prove")
    video, sha256 = fetched.path, fetched.sha256
    info = probe(video, tools=tools, cancelled=heartbeat.check)
    expected = fetched.expected_duration
    if needs_remux(fetched):
        heartbeat.enter("remux")
        video, sha256, expected = remuxed, None, expected or info.duration
        remux_to_mp4(fetched.path, video, container=fetched.container, tools=tools, cancelled=heartbeat.check)
        heartbeat.enter("prove")
        info = probe(video, tools=tools, cancelled=heartbeat.check)
    prove(
        video,
        info,
        expected_duration=expected,
        tools=tools,
        timeout=max(PROOF_SECONDS, 4 * info.duration),
        cancelled=heartbeat.check,
    )
    return {
        "attempt": str(lease.token),
        "name": video.name,
        "size": video.stat().st_size,
        "sha256": sha256 or sha256_file(video, heartbeat.progress),
        "media": info.as_json(),
    }


def _hand_over(job: VideoQueue, lease: Lease, artifact: dict[str, Any]) -> None:
    if through_outages(lambda: queue.finish_download(lease, artifact)):
        log.info("%s: downloaded and proven, %d bytes.", job, artifact["size"])
        return
    # The first try may have been committed although its answer was lost with the connection: then all is well.
    current = VideoQueue.objects.filter(id=job.id, worker_id=settings.WORKER_ID).values_list("artifact", flat=True)
    if artifact not in current:
        raise Cancelled("The job was taken from this worker at the end of its download.")


def _upload(job: VideoQueue, lease: Lease, heartbeat: Heartbeat) -> None:
    artifact = _artifact_of(job)
    key = VideoKey(job.mal_id, job.episode, job.provider, job.resolution)
    repo, path = key.repo(settings.HF_REPO_PREFIX), key.path(settings.HF_FILE_SALT)
    source = _attempt_of(job) / artifact["name"]
    if not source.is_file():
        raise ArtifactLost("The downloaded file is gone from this host's disk; it will be downloaded again.")
    for account in upload(source, repo, path, artifact["sha256"], heartbeat.progress):
        record = functools.partial(queue.record_replica, lease, account.index, repo, path, artifact)
        if through_outages(record) is None:
            raise Cancelled("The job was taken from this worker during its upload.")
    _publish(job, lease, key, repo, path)
    scratch.discard(_attempt_of(job))


def _publish(job: VideoQueue, lease: Lease, key: VideoKey, repo: str, path: str) -> None:
    replica = (
        Replica.objects.filter(
            stored_file__repo=repo, stored_file__path=path, stored_file__sha256=_artifact_of(job)["sha256"]
        )
        .select_related("account")
        .order_by("account__index")[0]
    )
    url = stream_url(key)
    published = through_outages(
        lambda: queue.publish_video(
            lease,
            replica.stored_file_id,
            file_key=key.file_key(settings.HF_FILE_SALT),
            account=replica.account.index,
            repo=f"{replica.account.username}/{repo}",
            direct_url=backend_for(replica.account).direct_url(repo, path) or url,
            stream_url=url,
        )
    )
    if published:
        log.info("%s: ready.", job)


def _attempt_of(job: VideoQueue) -> Path:
    """The folder of the attempt that downloaded the job's artifact."""
    return scratch.folder(settings.WORKER_ID, Lease(job.id, UUID(_artifact_of(job)["attempt"])))


def _artifact_of(job: VideoQueue) -> dict[str, Any]:
    """What the download lane left for this job. Raises ArtifactLost when there is nothing."""
    if not job.artifact:
        raise ArtifactLost("The job has no downloaded file; it will be downloaded again.")
    return dict(job.artifact)
