"""What an operator can do to many sources at once."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import wait
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from archive_site.admin_parts import counted, log_changes
from queue_app.models import Work, WorkSource
from queue_app.queue import enqueue_videos, wake_workers
from queue_app.sources.resolving import start
from queue_app.sources.wanted import Wanted

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


@admin.action(description="Archive now", permissions=["change"])
def archive_now(_admin: Any, request: HttpRequest, queryset: QuerySet[WorkSource]) -> None:
    """Each one's video is enqueued with its URL; what failed or was cancelled is tried anew."""
    _enqueue(request, queryset.order_by("work_id", "episode", "position", "id"))
    log_changes(request, queryset, "Enqueued in the admin.")


@admin.action(description="Archive all episodes", permissions=["change"])
def archive_works(_admin: Any, request: HttpRequest, queryset: QuerySet[Work]) -> None:
    """Every video of which a source is enabled is enqueued, with the first of them."""
    works = queryset.order_by().values("pk")
    _enqueue(request, WorkSource.objects.filter(work__in=works, enabled=True).order_by("episode", "position", "id"))
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


def _enqueue(request: HttpRequest, sources: Iterable[WorkSource]) -> None:
    """The first source of each video."""
    videos: dict[tuple[Any, ...], dict[str, Any]] = {}
    for one in sources:
        key = (one.work_id, one.episode, one.provider, one.resolution)
        names = ("mal_id", "episode", "provider", "resolution")
        videos.setdefault(key, {**dict(zip(names, key, strict=True)), "video_url": one.url})
    results = enqueue_videos(list(videos.values())) if videos else []
    enqueued = sum(result.before in _REVIVED for result in results)
    if enqueued:
        wake_workers()
        messages.success(request, f"{counted(enqueued, 'video')} enqueued.")
    if enqueued < len(results):
        messages.info(
            request, f"{counted(len(results) - enqueued, 'video')} left alone, being enqueued or archived already."
        )
