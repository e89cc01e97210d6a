"""The queue in the admin."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from archive_site.admin_parts import NOTHING, PlainAdmin, age, duration, pill, progress_bar, shortened, size
from queue_app.admin.actions import cancel, prioritise, requeue, reset
from queue_app.admin.filters import ActivityFilter, FailureClassFilter, ProviderFilter, SourceHostFilter
from queue_app.admin.forms import KEY_FIELDS, AddVideoForm, ChangeVideoForm
from queue_app.admin.job_event import JobEventInline
from queue_app.artifact import key_of
from queue_app.models import VideoQueue
from queue_app.queue import enqueue_video
from queue_app.states import IN_WORK, VideoStatus
from storage_app.key_rules import WORK_MAX, filter_by
from storage_app.models import VideoStore

EDITABLE = ("video_url", "page_url", "priority", "max_attempts")


@admin.register(VideoQueue)
class VideoQueueAdmin(PlainAdmin[VideoQueue]):
    """Every job, newest first."""

    list_display = ("video", "state", "progress", "failures", "age")
    list_filter = ("status", ActivityFilter, FailureClassFilter, SourceHostFilter, ProviderFilter)
    search_fields = ("video_url",)
    search_help_text = "Part of a video URL, the number of a work, or the id of a job."
    ordering = ("-created_at",)
    actions = [requeue, cancel, prioritise, reset]
    inlines = (JobEventInline,)
    readonly_fields = (
        *KEY_FIELDS, "source_host", "mirrors", "state", "progress", "stored", "stage", "attempt", "retry_count",
        "failure_class", "error_message", "not_before", "worker_id", "lease_expires_at", "created_at", "updated_at",
        "id",
    )  # fmt: skip
    fieldsets = (
        (
            None,
            {"fields": (KEY_FIELDS, "video_url", "page_url", "mirrors", "source_host", ("priority", "max_attempts"))},
        ),
        ("Now", {"fields": ("state", "progress", "stored", "worker_id", "stage", "lease_expires_at")}),
        (
            "Failures",
            {"fields": (("attempt", "retry_count", "failure_class"), "error_message", "not_before")},
        ),
        ("Record", {"fields": ("id", ("created_at", "updated_at"))}),
    )

    @admin.display(description="video", ordering="mal_id")
    def video(self, job: VideoQueue) -> SafeString:
        """Work and episode, below them where it comes from, and its priority if it has one."""
        urgency = f"priority {job.priority}" if job.priority else ""
        source = " · ".join(part for part in (job.provider, job.resolution, urgency) if part)
        html = "{} · episode {} <small>{}</small><small>{}</small>"
        return format_html(html, job.mal_id, job.episode, source, job.source_host)

    @admin.display(description="status", ordering="status")
    def state(self, job: VideoQueue) -> SafeString:
        """As a coloured word."""
        return pill(job.status, job.get_status_display())

    @admin.display(description="progress")
    def progress(self, job: VideoQueue) -> SafeString | str:
        """Percent, speed, time left and worker, of jobs in work."""
        if job.status not in IN_WORK:
            return NOTHING
        parts = [f"{job.percent} %" if job.percent is not None else size(job.bytes_done)]
        if job.speed:
            parts.append(f"{size(job.speed)}/s")
        if job.speed and job.bytes_total:
            parts.append(f"{duration(max(0, job.bytes_total - job.bytes_done) / job.speed)} left")
        return format_html("{} <small>{}</small>", progress_bar(job.percent, " · ".join(parts)), job.worker_id or "")

    @admin.display(description="failures", ordering="retry_count")
    def failures(self, job: VideoQueue) -> SafeString | str:
        """How many, and the beginning of the last one."""
        if not job.retry_count and not job.error_message:
            return NOTHING
        return format_html("{}: {}", job.retry_count, shortened(job.error_message))

    @admin.display(description="age", ordering="created_at")
    def age(self, job: VideoQueue) -> SafeString | str:
        """Since it was first enqueued."""
        return age(job.created_at)

    @admin.display(description="archived video")
    def stored(self, job: VideoQueue) -> SafeString | str:
        """Links to the store's row and to the player's URL."""
        video = VideoStore.objects.filter(**filter_by(key_of(job))).only("pk").first()
        if video is None:
            return "Not archived yet."
        return format_html(
            '<a href="{}">In the store</a> · <a href="{}">Play</a>',
            reverse("admin:storage_app_videostore_change", args=[video.pk]),
            key_of(job).stream_path(),
        )

    @admin.display(description="mirrors")
    def mirrors(self, job: VideoQueue) -> SafeString | str:
        """One on each line."""
        return format_html_join("", "{}<br>", ((url,) for url in job.options.get("mirrors", ()))) or NOTHING

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[VideoQueue], search_term: str
    ) -> tuple[QuerySet[VideoQueue], bool]:
        """By id of the job, number of the work, or part of the URL."""
        term = search_term.strip()
        return (queryset.filter(_matches(term)) if term else queryset), False

    def get_form(
        self, request: HttpRequest, obj: VideoQueue | None = None, change: bool = False, **kwargs: Any
    ) -> type[ModelForm[VideoQueue]]:
        """One form to add, another to change."""
        kwargs["form"] = ChangeVideoForm if change else AddVideoForm
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: VideoQueue | None = None) -> Any:
        """A new job has nothing to show yet."""
        if obj is None:
            return ((None, {"fields": (*KEY_FIELDS, "video_url", "page_url", "mirrors")}),)
        return super().get_fieldsets(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: VideoQueue | None = None) -> Any:
        """What the workers own."""
        return () if obj is None else super().get_readonly_fields(request, obj)

    def get_inlines(self, request: HttpRequest, obj: VideoQueue | None) -> Any:
        """A new job has no history."""
        return () if obj is None else super().get_inlines(request, obj)

    def save_model(self, request: HttpRequest, obj: VideoQueue, form: Any, change: bool) -> None:
        """Adds through the queue; writes only what was edited, for a worker may be writing the rest."""
        if change:
            names = [name for name in form.changed_data if name in EDITABLE]
            if "video_url" in names:
                # They are the old file's: a worker would take it for the new one.
                obj.options.pop("mirrors", None)
                names.append("options")
            if names:
                obj.save(update_fields=names)
            return
        job = enqueue_video(form.key, form.cleaned_data["video_url"], form.page, form.mirror_urls)
        obj.pk = job.pk
        obj._state.adding = False
        if job.status != VideoStatus.PENDING:
            messages.warning(request, f"Somebody else has just added this video: it is {job.status}.")


def _matches(term: str) -> Q:
    try:
        return Q(pk=UUID(term))
    except ValueError:
        pass  # not an id, so it is one of the others
    found = Q(video_url__contains=term)
    if term.isascii() and term.isdigit() and len(term) < 20 and int(term) <= WORK_MAX:
        found |= Q(mal_id=int(term))
    return found
