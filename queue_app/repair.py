"""Jobs that stand still although everything of theirs is in the store: they are moved on, nothing is fetched again."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from queue_app import queue
from queue_app.artifact import key_of, own_place
from queue_app.models import VideoQueue
from queue_app.states import Lane, VideoStatus
from storage_app.backends import backend_for
from storage_app.backends.base import StorageError
from storage_app.models import Replica, Sidecar, StorageAccount, StoredFile, TaskKind, VideoStore
from storage_app.placement import placement_of
from storage_app.playback.urls import stream_url
from storage_app.upkeep.events import record
from storage_app.upkeep.tasks import ask_for

log = logging.getLogger(__name__)

ACTOR = "reconciler"
REASON = "Its copies are all stored and confirmed."

_HURRY = """
UPDATE video_queue q SET not_before = NULL
WHERE q.status = 'uploading' AND q.lease_token IS NULL AND q.not_before > now() AND NOT EXISTS (
    SELECT 1 FROM storage_account a
    WHERE a.enabled AND a.retired_at IS NULL AND NOT EXISTS (
        SELECT 1 FROM replica r JOIN stored_file f ON f.id = r.stored_file_id
        WHERE r.account_id = a.index AND f.sha256 = q.artifact ->> 'sha256')
) AND EXISTS (SELECT 1 FROM storage_account a WHERE a.enabled AND a.retired_at IS NULL)
"""


def hurry_stored() -> int:
    """Uploads that wait, although every account in use has their content by now, go on at once; how many."""
    with connection.cursor() as cursor:
        cursor.execute(_HURRY)
        number = int(cursor.rowcount)
    if number:
        queue.wake(Lane.UPLOAD)
    return number


def publish_stored() -> int:
    """Videos whose job failed after enough copies of the proven file were confirmed, and before it was published, are
    published from what is there; how many. What lay beside them is not known any more."""
    return sum(_publish(file) for file in _stored_for_nobody())


def _stored_for_nobody() -> Iterator[StoredFile]:
    """Proven videos with a copy that no row of video_store or sidecar has."""
    files = StoredFile.objects.filter(content_type__startswith="video/", proof__isnull=False)
    files = files.filter(Exists(Replica.objects.filter(stored_file=OuterRef("pk"))))
    files = files.exclude(Exists(VideoStore.objects.filter(stored_file=OuterRef("pk"))))
    yield from files.exclude(Exists(Sidecar.objects.filter(stored_file=OuterRef("pk")))).order_by("created_at")


def _publish(file: StoredFile) -> bool:
    """False when no failed job is to be had for it, a video has its place, or there are too few copies."""
    job = next((job for job in _failed_jobs(file)), None)
    holders = StorageAccount.objects.filter(replicas__stored_file=file, enabled=True)
    account = holders.order_by("index").first()
    if job is None or account is None or holders.count() < placement_of(file).minimum:
        return False
    with transaction.atomic():
        if not VideoQueue.objects.select_for_update().filter(pk=job.pk, status=VideoStatus.FAILED).exists():
            return False
        _write(job, file, account)
    record("published", f"{job}: it had failed, but is stored and proven; it is ready.", file=file, actor=ACTOR)
    ask_for(TaskKind.REPLICATE, stored_file=file, reason=REASON)
    ask_for(TaskKind.MANIFEST, stored_file=file, reason=REASON)
    return True


def _failed_jobs(file: StoredFile) -> Iterator[VideoQueue]:
    """Those whose video would lie exactly there and isn't archived."""
    work, _, rest = file.path.partition("/ep")
    episode = rest.partition("/")[0]
    if not (work.isdecimal() and episode.isdecimal()):
        return
    for job in VideoQueue.objects.filter(mal_id=int(work), episode=int(episode), status=VideoStatus.FAILED):
        own = own_place(key_of(job))
        archived = VideoStore.objects.filter(
            mal_id=job.mal_id, episode=job.episode, provider=job.provider, resolution=job.resolution
        )
        if (own.repo, own.path) == (file.repo, file.path) and not archived.exists():
            yield job


def _write(job: VideoQueue, file: StoredFile, account: StorageAccount) -> None:
    """As publish_video does, by the function of the contract that stores a result."""
    key = key_of(job)
    url = stream_url(key)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('reelkeep.actor', %s, true), set_config('reelkeep.reason', %s, true)", [ACTOR, REASON]
        )
        cursor.execute(
            "SELECT id FROM upsert_video_store(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                job.mal_id, job.episode, job.provider, job.resolution, key.file_key(settings.HF_FILE_SALT),
                account.index, f"{account.username}/{file.repo}", file.path, _direct_url(account, file) or url, url,
            ],
        )  # fmt: skip
        [(video,)] = cursor.fetchall()
        cursor.execute("SELECT set_config('reelkeep.actor', '', true), set_config('reelkeep.reason', '', true)")
    VideoStore.objects.filter(pk=video).update(stored_file=file)


def _direct_url(account: StorageAccount, file: StoredFile) -> str | None:
    try:
        return backend_for(account).direct_url(file.repo, file.path)
    except StorageError:
        return None  # its credentials can't be had here; the stream URL serves
