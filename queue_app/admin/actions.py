"""What an operator can do to many jobs at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse

from archive_site.admin_parts import log_changes
from queue_app import steering
from queue_app.api.job_serializers import REASON_LENGTH
from queue_app.api.serializers import PRIORITY_MAX, PRIORITY_MIN
from queue_app.models import VideoQueue
from queue_app.queue import reset_videos
from queue_app.states import IN_WORK, VideoStatus

SHOWN_FOR_CONFIRMATION = 20

if TYPE_CHECKING:
    QueueAdmin = admin.ModelAdmin[VideoQueue]
else:
    QueueAdmin = admin.ModelAdmin


class CancelForm(forms.Form):
    """Why."""

    reason = forms.CharField(
        max_length=REASON_LENGTH, initial="Cancelled in the admin.", help_text="For the videos' history.",
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )  # fmt: skip


class PriorityForm(forms.Form):
    """How urgent."""

    priority = forms.IntegerField(
        min_value=PRIORITY_MIN, max_value=PRIORITY_MAX, initial=10,
        help_text=f"Higher goes first; most have 0. {PRIORITY_MIN} to {PRIORITY_MAX}.",
        widget=forms.NumberInput(attrs={"class": "vIntegerField"}),
    )  # fmt: skip


@admin.action(description="Requeue selected failed videos", permissions=["change"])
def requeue(model_admin: QueueAdmin, request: HttpRequest, queryset: QuerySet[VideoQueue]) -> None:
    """Failed jobs go back to pending with all their attempts; others are left alone."""
    reason = "Requeued in the admin."
    outcome = steering.requeue(_ids(queryset), actor=request.user.get_username(), reason=reason)
    _tell(request, outcome.done, "requeued", reason)
    if outcome.refused:
        messages.warning(request, f"{_videos(len(outcome.refused))} skipped, because only failed ones can be requeued.")


@admin.action(description="Reset selected videos…", permissions=["change"])
def reset(model_admin: QueueAdmin, request: HttpRequest, queryset: QuerySet[VideoQueue]) -> TemplateResponse | None:
    """Jobs in any state start afresh, after a page that says what that means."""
    if request.POST.get("confirmed") == "yes":
        reason = "Reset in the admin."
        done = reset_videos(_ids(queryset), actor=request.user.get_username(), reason=reason)
        _tell(request, done, "reset to pending", reason)
        return None
    ready = queryset.filter(status=VideoStatus.READY).count()
    return _ask(model_admin, request, queryset, "reset", title="Reset videos?", yes="Yes, reset", ready=ready)


@admin.action(description="Cancel selected videos…", permissions=["change"])
def cancel(model_admin: QueueAdmin, request: HttpRequest, queryset: QuerySet[VideoQueue]) -> TemplateResponse | None:
    """Jobs that haven't ended are ended, after a page that asks for the reason."""
    form = CancelForm(request.POST if request.POST.get("confirmed") == "yes" else None)
    if form.is_valid():
        reason = form.cleaned_data["reason"]
        outcome = steering.cancel(_ids(queryset), actor=request.user.get_username(), reason=reason)
        _tell(request, outcome.done, "cancelled", f"Cancelled: {reason}")
        if outcome.refused:
            messages.warning(request, f"{_videos(len(outcome.refused))} skipped, having ended already.")
        return None
    ended = queryset.filter(status__in=steering.ENDED).count()
    alive = queryset.count() - ended
    words = {"title": "Cancel videos?", "yes": "Yes, cancel"}
    return _ask(model_admin, request, queryset, "cancel", form=form, ended=ended, alive=alive, **words)


@admin.action(description="Set priority of selected videos…", permissions=["change"])
def prioritise(
    model_admin: QueueAdmin, request: HttpRequest, queryset: QuerySet[VideoQueue]
) -> TemplateResponse | None:
    """All get the priority that a page asks for."""
    form = PriorityForm(request.POST if request.POST.get("confirmed") == "yes" else None)
    if form.is_valid():
        priority = form.cleaned_data["priority"]
        ids = _ids(queryset)
        steering.prioritise(ids, priority)
        _tell(request, ids, f"given priority {priority}", f"Set priority to {priority} in the admin.")
        return None
    words = {"title": "Set priority", "yes": "Set priority"}
    return _ask(model_admin, request, queryset, "prioritise", template="priority", form=form, **words)


def _ask(
    model_admin: QueueAdmin, request: HttpRequest, queryset: QuerySet[VideoQueue], action: str, *,
    template: str = "", **more: Any,
) -> TemplateResponse:  # fmt: skip
    count = queryset.count()
    context: dict[str, Any] = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.model._meta,
        "action": action,
        "action_checkbox_name": ACTION_CHECKBOX_NAME,
        "ids": _ids(queryset),
        "shown": queryset[:SHOWN_FOR_CONFIRMATION],
        "count": count,
        "more": count - SHOWN_FOR_CONFIRMATION,
        "in_work": queryset.filter(status__in=IN_WORK).count(),
        **more,
    }
    return TemplateResponse(request, f"admin/queue_app/videoqueue/{template or action}_confirmation.html", context)


def _tell(request: HttpRequest, ids: Sequence[UUID], done: str, reason: str) -> None:
    if ids:
        log_changes(request, VideoQueue.objects.filter(pk__in=ids), reason)
        messages.success(request, f"{_videos(len(ids))} {done}.")


def _ids(queryset: QuerySet[VideoQueue]) -> list[UUID]:
    return list(queryset.order_by().values_list("pk", flat=True))


def _videos(number: int) -> str:
    return f"{number} video" if number == 1 else f"{number} videos"
