"""Deleting videos: from the tables at once and for good, from the accounts as soon as each of them can be reached."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models.functions import Now

from storage_app.key_rules import filter_by
from storage_app.manifest import unused
from storage_app.models import Replica, Sidecar, StoredFile, TaskKind, Tombstone, VideoStore
from storage_app.naming import VideoKey
from storage_app.upkeep import jobs
from storage_app.upkeep.events import record
from storage_app.upkeep.tasks import ask_for

UNUSED_AGE = timedelta(days=1)
"""A content that is younger may be about to get its video."""
PAGE = 1000


def delete_videos(ids: Iterable[UUID], actor: str, reason: str) -> int:
    """Delete these videos with all that lies beside them, in one transaction; how many there were.

    A tombstone is left for each. What no other video uses gets a REMOVE task for every copy, also on disabled accounts;
    content that is shared stays for the others. The videos' jobs are cancelled, by a trigger of the table, so that
    nothing brings them back unasked. `reason` is a sentence for people.
    """
    with transaction.atomic():
        videos = list(
            VideoStore.objects.select_for_update(of=("self",))
            .select_related("stored_file")
            .filter(pk__in=list(ids))
            .order_by("pk")
        )
        wanted = [video.pk for video in videos]
        sidecars = Sidecar.objects.filter(video__in=wanted)
        files = {*sidecars.values_list("stored_file_id", flat=True)}
        files |= {video.stored_file_id for video in videos if video.stored_file_id}
        Tombstone.objects.bulk_create([_tombstone(video, actor, reason) for video in videos])
        _tell_triggers(actor, reason)
        VideoStore.objects.filter(pk__in=wanted).delete()
        _tell_triggers("", "")
        _remove_unused(files, actor, reason)
        for video in videos:
            text = f"{video} was deleted. {reason}".strip()
            record("deleted", text, file=video.stored_file, actor=actor)
    return len(videos)


def remove_unused() -> int:
    """Have the copies removed of contents that no video uses: what cancelled or superseded uploads have left.

    Those of an episode that still has a job stay, also of one that failed: it may yet be published from them, or tried
    again. How many contents went.
    """
    removed, last = 0, UUID(int=0)
    old = StoredFile.objects.filter(videos=None, sidecars=None, created_at__lt=Now() - UNUSED_AGE).order_by("pk")
    while page := list(old.filter(pk__gt=last).values_list("pk", "path")[:PAGE]):
        last = page[-1][0]
        with transaction.atomic():
            busy = jobs.episodes_in_work([path for _pk, path in page], (*jobs.UNENDED, "failed"))
            idle = [pk for pk, path in page if "/".join(path.split("/")[:2]) not in busy]
            removed += _remove_unused(idle, "system", "No video uses it.")
    return removed


def tombstone_of(key: VideoKey) -> Tombstone | None:
    """The last one of this key."""
    return Tombstone.objects.filter(**filter_by(key)).order_by("-deleted_at", "-id").first()


def _tombstone(video: VideoStore, actor: str, reason: str) -> Tombstone:
    file = video.stored_file
    return Tombstone(
        mal_id=video.mal_id,
        episode=video.episode,
        provider=video.provider,
        resolution=video.resolution,
        file_key=video.file_key,
        sha256=file.sha256 if file else "",
        size=file.size if file else None,
        title=video.title,
        actor=actor,
        reason=reason,
    )


def _tell_triggers(actor: str, reason: str) -> None:
    """Who and why, for the history of the videos' jobs."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('reelkeep.actor', %s, true), set_config('reelkeep.reason', %s, true)", [actor, reason]
        )


def _remove_unused(files: Collection[UUID], actor: str, reason: str) -> int:
    """How many of them no video used."""
    gone = unused(list(files)).order_by("pk").select_for_update(of=("self",))
    ids = list(gone.values_list("pk", flat=True))
    copies = Replica.objects.filter(stored_file__in=ids).select_related("stored_file", "account")
    for copy in copies.order_by("account", "stored_file__repo", "stored_file__path"):
        place = copy.stored_file
        why = f"Deleted: {reason}" if reason else "Its video was deleted."
        ask_for(TaskKind.REMOVE, account=copy.account, repo=place.repo, path=place.path, reason=why, actor=actor)
    unused(ids).delete()
    return len(ids)
