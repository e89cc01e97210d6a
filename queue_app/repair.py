"""Jobs that stand still although everything of theirs is in the store: they are moved on, nothing is fetched again."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.timezone import now

from queue_app import queue
from queue_app.artifact import key_of, own_place
from queue_app.models import JobEvent, VideoQueue
from queue_app.queue import Place
from queue_app.states import Lane, VideoStatus
from storage_app.backends import backend_for
from storage_app.backends.base import StorageError, StorageUnavailableError
from storage_app.key_rules import filter_by
from storage_app.models import Replica, StorageAccount, StoredFile, TaskKind, Tombstone, UpkeepMark, VideoStore
from storage_app.placement import placement_of
from storage_app.playback.urls import stream_url
from storage_app.upkeep.events import record
from storage_app.upkeep.tasks import ask_for

log = logging.getLogger(__name__)

ACTOR = "reconciler"
REASON = "Its copies are all stored and confirmed."
MARK = "publish_stored"
OVERLAP = timedelta(hours=1)
"""A job's end is dated when its transaction begins, which may be a while before it can be seen."""
ANYWAY = timedelta(days=1)
PAGE = 500

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
    published from what is there; how many. What lay beside them is not known any more.

    Looks at the jobs that have failed since the round before, and once a day at all that ever did: an account or a
    policy may have changed meanwhile.
    """
    mark, _new = UpkeepMark.objects.get_or_create(name=MARK)
    started, known = now(), mark.value
    thorough = "all" not in known or datetime.fromisoformat(known["all"]) < started - ANYWAY
    failed = VideoQueue.objects.filter(status=VideoStatus.FAILED)
    if not thorough:
        failed = failed.filter(updated_at__gte=mark.at - OVERLAP)
    number = sum(_publish(job, file) for job, file in _stored_although_failed(failed))
    mark.value, mark.at = {"all": started.isoformat() if thorough else known["all"]}, started
    mark.save()
    return number


def _stored_although_failed(failed: QuerySet[VideoQueue]) -> Iterator[tuple[VideoQueue, StoredFile]]:
    """Those whose proven video lies, with a copy at least, exactly where it is to lie, and is no video's yet."""
    jobs = failed.iterator(PAGE)
    while page := {own_place(key_of(job)): job for job in itertools.islice(jobs, PAGE)}:
        files = StoredFile.objects.filter(
            repo__in={place.repo for place in page}, path__in=[place.path for place in page],
            content_type__startswith="video/", proof__isnull=False, videos=None, sidecars=None,
            created_at__gt=now() - timedelta(days=settings.RETENTION_EVENTS_DAYS),
        )  # fmt: skip
        for file in files.filter(Exists(Replica.objects.filter(stored_file=OuterRef("pk")))).order_by("-created_at"):
            job = page.get(Place(file.repo, file.path))
            if job is not None and not _rejected(job, file):
                yield job, file


def _rejected(job: VideoQueue, file: StoredFile) -> bool:
    """Is this content perhaps not wanted any more? Since it was stored, the video was archived otherwise or deleted, or
    somebody asked for it anew."""
    key = filter_by(key_of(job))
    if job.created_at > file.created_at or VideoStore.objects.filter(**key).exists():
        return True
    anew = Q(from_status__in=[VideoStatus.FAILED, VideoStatus.CANCELLED, VideoStatus.READY])
    anew |= Q(from_status=VideoStatus.UPLOADING, attempt=0)  # by hand; a worker has counted its attempt
    asked = JobEvent.objects.filter(anew, job=job, to_status=VideoStatus.PENDING, at__gt=file.created_at)
    return asked.exists() or Tombstone.objects.filter(**key, deleted_at__gt=file.created_at).exists()


def _publish(job: VideoQueue, file: StoredFile) -> bool:
    """False when the job isn't to be had any more, or there are too few copies."""
    account = _primary_of(file)
    if account is None:
        return False
    with transaction.atomic():
        if not VideoQueue.objects.select_for_update().filter(pk=job.pk, status=VideoStatus.FAILED).exists():
            return False
        if _rejected(job, file):
            return False
        _write(job, file, account)
    record("published", f"{job}: it had failed, but is stored and proven; it is ready.", file=file, actor=ACTOR)
    ask_for(TaskKind.REPLICATE, stored_file=file, reason=REASON)
    ask_for(TaskKind.MANIFEST, stored_file=file, reason=REASON)
    return True


def _primary_of(file: StoredFile) -> StorageAccount | None:
    """The first of the accounts that have it; None when those of its placement are too few."""
    try:
        placement = placement_of(file)
    except (StorageUnavailableError, ValueError) as error:
        log.info("%s can't be published now: %s", file, error)
        return None
    allowed = [account.index for account in (*placement.accounts, *placement.others)]
    holders = StorageAccount.objects.filter(replicas__stored_file=file, index__in=allowed).order_by("index")
    return holders.first() if len(holders) >= placement.minimum else None


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
