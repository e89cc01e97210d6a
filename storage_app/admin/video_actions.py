"""What an operator can do to archived videos from their list."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import DELETION
from django.db import transaction
from django.db.models import Q, QuerySet, Sum
from django.http import HttpRequest
from django.template.response import TemplateResponse

from archive_site.admin_parts import confirmation, counted, log_changes, size
from storage_app.deletion import delete_videos
from storage_app.models import Replica, StoredFile, TaskKind, VideoStore
from storage_app.upkeep.tasks import ask_for

AT_ONCE = 500
MORE_CHECKED = "The scrub and the sweep reach all by themselves."
MORE_DELETED = "For more there are “manage.py delete_video” and retention rules."
REASON_LENGTH = 500

if TYPE_CHECKING:
    VideoAdmin = admin.ModelAdmin[VideoStore]
else:
    VideoAdmin = object


class DeleteForm(forms.Form):
    """Why."""

    reason = forms.CharField(
        max_length=REASON_LENGTH, initial="Deleted in the admin.", help_text="Kept with the tombstone.",
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )  # fmt: skip


class VideoActions(VideoAdmin):
    """The actions of VideoStoreAdmin. Videos are changed and deleted in no other way there."""

    def has_steer_permission(self, request: HttpRequest) -> bool:
        """May this user have the programme do something to videos?"""
        return request.user.has_perm("storage_app.change_videostore")

    def has_remove_permission(self, request: HttpRequest) -> bool:
        """May this user delete videos?"""
        return request.user.has_perm("storage_app.delete_videostore")

    @admin.action(description="Verify: read every copy back", permissions=["steer"])
    def verify(self, request: HttpRequest, queryset: QuerySet[VideoStore]) -> None:
        """Asks for each copy of the videos and of what lies beside them; bad ones are replaced from good ones."""
        if (videos := self._few(request, queryset)) is None:
            return
        copies = Replica.objects.filter(stored_file__in=_files(videos)).select_related("stored_file", "account")
        for copy in copies:
            ask_for(TaskKind.VERIFY, stored_file=copy.stored_file, account=copy.account, **_asked(request))
        self._tell(request, videos, len(copies), "Verification", "copy", "read back")

    @admin.action(description="Replicate: make up for missing copies", permissions=["steer"])
    def replicate(self, request: HttpRequest, queryset: QuerySet[VideoStore]) -> None:
        """Asks that each file come to the copies that its placement wants."""
        if (videos := self._few(request, queryset)) is None:
            return
        files = list(StoredFile.objects.filter(pk__in=_files(videos)))
        for file in files:
            ask_for(TaskKind.REPLICATE, stored_file=file, **_asked(request))
        self._tell(request, videos, len(files), "Replication", "file", "compared with its placement")

    @admin.action(description="Delete selected videos…", permissions=["remove"])
    def delete_videos(self, request: HttpRequest, queryset: QuerySet[VideoStore]) -> TemplateResponse | None:
        """Every copy on every account, after a page that says what goes and asks for the reason."""
        if self._few(request, queryset, MORE_DELETED) is None:
            return None
        form = DeleteForm(request.POST if request.POST.get("confirmed") == "yes" else None)
        if not form.is_valid():
            return confirmation(
                self, request, queryset, "delete_videos", "admin/storage_app/videostore/delete_confirmation.html",
                title="Delete videos?", yes="Yes, delete them and all copies", form=form, **_extent(queryset),
            )  # fmt: skip
        reason = form.cleaned_data["reason"]
        ids: list[UUID] = list(queryset.order_by().values_list("pk", flat=True))
        with transaction.atomic():
            log_changes(request, VideoStore.objects.filter(pk__in=ids), reason, flag=DELETION)
            number = delete_videos(ids, request.user.get_username(), reason)
        messages.success(request, f"{counted(number, 'video')} deleted; the copies are being removed.")
        return None

    def _few(
        self, request: HttpRequest, queryset: QuerySet[VideoStore], more: str = MORE_CHECKED
    ) -> list[VideoStore] | None:
        """The videos, unless they are more than can be asked about in one request."""
        videos = list(queryset.order_by("pk")[: AT_ONCE + 1])
        if len(videos) <= AT_ONCE:
            return videos
        messages.error(request, f"Choose up to {AT_ONCE} videos at a time. {more}")
        return None

    def _tell(
        self, request: HttpRequest, videos: list[VideoStore], number: int, what: str, noun: str, done: str
    ) -> None:
        log_changes(
            request, VideoStore.objects.filter(pk__in=[video.pk for video in videos]), f"{what} asked for in the admin."
        )
        if number:
            messages.success(request, f"{counted(number, noun)} of {counted(len(videos), 'video')} will be {done}.")
        else:
            messages.warning(request, "There is nothing to do: no copy of these videos is known.")


def _asked(request: HttpRequest) -> dict[str, Any]:
    return {"reason": "Asked for in the admin.", "actor": request.user.get_username()}


def _files(videos: Iterable[VideoStore]) -> QuerySet[StoredFile, UUID]:
    """The stored files of the videos and of what lies beside them."""
    ids = [video.pk for video in videos]
    chosen = Q(videos__in=ids) | Q(sidecars__video__in=ids)
    return StoredFile.objects.filter(chosen).order_by().values_list("pk", flat=True).distinct()


def _extent(queryset: QuerySet[VideoStore]) -> dict[str, Any]:
    """How much goes, and what of it stays because other videos lead to the same content."""
    chosen = queryset.order_by().values("pk")
    files = StoredFile.objects.filter(videos__in=chosen).order_by().distinct()
    shared = files.filter(pk__in=VideoStore.objects.exclude(pk__in=chosen).order_by().values("stored_file"))
    going = files.exclude(pk__in=shared.values("pk"))
    copies = Replica.objects.filter(stored_file__in=going.values("pk"))
    return {
        "copies": copies.count(),
        "bytes": size(copies.aggregate(sum=Sum("stored_file__size"))["sum"] or 0),
        "shared": shared.count(),
    }
