"""What an operator can do to many jobs at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse

from queue_app.models import VideoQueue
from queue_app.queue import reset_videos
from queue_app.states import IN_WORK, VideoStatus

SHOWN_FOR_CONFIRMATION = 20


@admin.action(description="Requeue selected failed videos", permissions=["change"])
def requeue(model_admin: admin.ModelAdmin[VideoQueue], request: HttpRequest, queryset: QuerySet[VideoQueue]) -> None:
    """Failed jobs go back to pending with all their attempts; others are left alone."""
    ids = _ids(queryset)
    done = _reset(request, ids, "Requeued in the admin.", only=VideoStatus.FAILED.value)
    skipped = len(ids) - len(done)
    if done:
        messages.success(request, f"{_videos(len(done))} requeued.")
    if skipped:
        messages.warning(request, f"{_videos(skipped)} skipped, because only failed ones can be requeued.")


@admin.action(description="Reset selected videos…", permissions=["change"])
def reset(
    model_admin: admin.ModelAdmin[VideoQueue], request: HttpRequest, queryset: QuerySet[VideoQueue]
) -> TemplateResponse | None:
    """Jobs in any state start afresh, after a page that says what that means."""
    if request.POST.get("confirmed") == "yes":
        done = _reset(request, _ids(queryset), "Reset in the admin.")
        messages.success(request, f"{_videos(len(done))} reset to pending.")
        return None
    context: dict[str, Any] = {
        **model_admin.admin_site.each_context(request),
        "title": "Reset videos?",
        "opts": model_admin.model._meta,
        "action_checkbox_name": ACTION_CHECKBOX_NAME,
        "ids": _ids(queryset),
        "shown": queryset[:SHOWN_FOR_CONFIRMATION],
        "count": queryset.count(),
        "in_work": queryset.filter(status__in=IN_WORK).count(),
        "ready": queryset.filter(status=VideoStatus.READY).count(),
    }
    return TemplateResponse(request, "admin/queue_app/videoqueue/reset_confirmation.html", context)


def _reset(request: HttpRequest, ids: Sequence[UUID], reason: str, only: str | None = None) -> list[UUID]:
    done = reset_videos(ids, actor=request.user.get_username(), reason=reason, only=only)
    if done:
        LogEntry.objects.log_actions(
            user_id=request.user.pk or 0,
            queryset=VideoQueue.objects.filter(pk__in=done),
            action_flag=CHANGE,
            change_message=reason,
        )
    return done


def _ids(queryset: QuerySet[VideoQueue]) -> list[UUID]:
    return list(queryset.order_by().values_list("pk", flat=True))


def _videos(number: int) -> str:
    return f"{number} video" if number == 1 else f"{number} videos"
