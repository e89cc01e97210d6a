"""What an operator can do to many sources at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import wait
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import Exists, QuerySet, Subquery
from django.http import HttpRequest

from archive_site.admin_parts import counted, log_changes
from queue_app.admin.same_video import same_video
from queue_app.models import VideoQueue, Work, WorkSource
from queue_app.queue import enqueue_videos, wake_workers
from queue_app.sources.resolving import start
from queue_app.sources.wanted import Wanted
from storage_app.models import Tombstone, VideoStore

RESOLVED_AT_ONCE = 50
_REVIVED = {None, "failed", "cancelled"}


@admin.action(description="Resolve now", permissions=["change"])
def resolve_now(_admin: Any, request: HttpRequest, queryset: QuerySet[WorkSource]) -> None:
    """Each is resolved anew, whatever is known of it; what takes too long goes on by itself."""
    sources = list(queryset.order_by("work_id", "episode", "position", "id")[: RESOLVED_AT_ONCE + 1])
    if len(sources) > RESOLVED_AT_ONCE:
        messages.error(request, f"Choose at most {RESOLVED_AT_ONCE} sources: each of them is asked at once.")
        return
    runs = {Wanted(one.url, one.resolution, one.resolver): one for one in sources}
    started = {wanted: start(wanted, anew=True) for wanted in runs}
    wait(started.values(), settings.RESOLVE_SECONDS)
    ended = [run for run in started.values() if run.done()]
    good = sum(run.result() is not None for run in ended)
    if good:
        messages.success(request, f"{counted(good, 'source')} resolved.")
    if good < len(ended):
        messages.warning(request, f"{counted(len(ended) - good, 'source')} can't be resolved: the list says why.")
    if len(ended) < len(started):
        messages.info(request, f"{counted(len(started) - len(ended), 'source')} still being resolved: look again soon.")


@admin.action(description="Archive now", permissions=["archive"])
def archive_now(_admin: Any, request: HttpRequest, queryset: QuerySet[WorkSource]) -> None:
    """Each one's video is enqueued with its URL; what failed or was cancelled is tried anew."""
    _enqueue(request, _first_of_each(queryset.order_by("work_id", "episode", "position", "id")))
    log_changes(request, queryset, "Enqueued in the admin.")


@admin.action(description="Archive all episodes", permissions=["archive"])
def archive_works(_admin: Any, request: HttpRequest, queryset: QuerySet[Work]) -> None:
    """Every video of which a source is enabled is enqueued, with the first of them, unless somebody or something has
    ended it: nobody looks at each of so many."""
    sources = (
        WorkSource.objects.filter(work__in=queryset.order_by().values("pk"), enabled=True)
        .annotate(
            job_status=Subquery(same_video(VideoQueue).values("status")[:1]),
            stored=Exists(same_video(VideoStore)),
            deleted=Exists(same_video(Tombstone)),
        )
        .order_by("episode", "position", "id")
    )
    videos = _first_of_each(sources)
    ended = Counter(word for one in videos if (word := _ended(one)))
    wanted = [one for one in videos if not one.stored and not _ended(one)]
    _enqueue(request, wanted, archived=len(videos) - len(wanted) - ended.total())
    if ended:
        counts = ", ".join(f"{number} {word}" for word, number in sorted(ended.items()))
        messages.warning(
            request,
            f"{counted(ended.total(), 'video')} left alone: {counts}. To archive such a video all the same, choose its "
            "source in the list of sources and run “Archive now”.",
        )
    log_changes(request, queryset, "All episodes enqueued in the admin.")


@admin.action(description="Enable", permissions=["change"])
def enable(_admin: Any, request: HttpRequest, queryset: QuerySet[WorkSource]) -> None:
    """They are shown, and archived when they are asked for."""
    log_changes(request, queryset, "Enabled in the admin.")
    messages.success(request, f"{counted(queryset.order_by().update(enabled=True), 'source')} enabled.")


@admin.action(description="Disable", permissions=["change"])
def disable(_admin: Any, request: HttpRequest, queryset: QuerySet[WorkSource]) -> None:
    """They are neither shown nor archived; what is enqueued stays so."""
    log_changes(request, queryset, "Disabled in the admin.")
    messages.success(request, f"{counted(queryset.order_by().update(enabled=False), 'source')} disabled.")


def may_enqueue(request: HttpRequest) -> bool:
    """Whether this user may."""
    return request.user.has_perm("queue_app.add_videoqueue")


def _ended(source: Any) -> str:
    """How the video came to an end that only an operator may undo; empty: it didn't."""
    if source.stored or source.job_status not in _REVIVED:
        return ""
    if source.job_status == "failed":
        return "failed"
    return "deleted" if source.deleted else source.job_status or ""


def _first_of_each(sources: Iterable[WorkSource]) -> list[Any]:
    """The first source of each video."""
    videos: dict[tuple[Any, ...], WorkSource] = {}
    for one in sources:
        videos.setdefault((one.work_id, one.episode, one.provider, one.resolution), one)
    return list(videos.values())


def _enqueue(request: HttpRequest, sources: Iterable[WorkSource], *, archived: int = 0) -> None:
    """The videos of these sources, of which each has another; `archived` more are told to be left alone."""
    videos = [
        {
            "mal_id": one.work_id, "episode": one.episode, "provider": one.provider, "resolution": one.resolution,
            "video_url": one.url,
        }
        for one in sources
    ]  # fmt: skip
    results = enqueue_videos(videos) if videos else []
    enqueued = sum(result.before in _REVIVED for result in results)
    if enqueued:
        wake_workers()
        messages.success(request, f"{counted(enqueued, 'video')} enqueued.")
    if left := len(results) - enqueued + archived:
        messages.info(request, f"{counted(left, 'video')} left alone, being enqueued or archived already.")
