"""Thumbnails and subtitles in the admin: reached from their video's page, as files to look at."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path

from archive_site.admin_parts import ReadOnlyAdmin
from storage_app.models import Sidecar
from storage_app.playback.copies import Copy, NoCopyLeft, whole
from storage_app.replicas import copies_of


@admin.register(Sidecar)
class SidecarAdmin(ReadOnlyAdmin[Sidecar]):
    """Has no list of its own."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Not in the index."""
        return False

    def get_urls(self) -> list[URLPattern]:
        """The file itself."""
        view = self.admin_site.admin_view(self.file_view)
        return [path("<int:pk>/file", view, name="storage_app_sidecar_file"), *super().get_urls()]

    def file_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The whole file; it came from a stranger, so a browser may neither guess its type nor run anything in it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        sidecar = get_object_or_404(Sidecar.objects.select_related("stored_file"), pk=pk)
        file = sidecar.stored_file
        headers = {
            "Content-Type": file.content_type,
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; sandbox",
        }
        return HttpResponse(_content(copies_of(file), file.size), headers=headers)


def _content(copies: Sequence[Copy], size: int) -> bytes:
    try:
        return whole(copies, size)
    except NoCopyLeft:
        raise Http404("No copy of this file can be read now. Look at its accounts.") from None
