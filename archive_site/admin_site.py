"""The admin as operators see it: our titles and index page on Django's own admin."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.apps import AdminConfig
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse


class ReelkeepAdminConfig(AdminConfig):
    """Puts our site in the place of Django's default one."""

    default_site = "archive_site.admin_site.ReelkeepAdminSite"


class ReelkeepAdminSite(AdminSite):
    """Django's admin site under our name."""

    site_header = "Reelkeep"
    site_title = "Reelkeep"
    index_title = "Archive"
    site_url = None
    enable_nav_sidebar = True

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """The first page, with how much there is of everything."""
        counters = _counters() if request.user.has_perm("queue_app.view_videoqueue") else []
        return super().index(request, {**(extra_context or {}), "counters": counters})


def _counters() -> list[dict[str, Any]]:
    """Number, name, style and list of each counter."""
    from queue_app.counters import count_videos, living_workers

    found = count_videos()
    workers = living_workers().count()
    queue = reverse("admin:queue_app_videoqueue_changelist")
    in_work = found.queue["downloading"] + found.queue["uploading"]
    return [
        _counter("Pending", found.queue["pending"], "pending", f"{queue}?status__exact=pending"),
        _counter("In work", in_work, "downloading", f"{queue}?activity=in-work"),
        _counter("Ready", found.queue["ready"], "ready", f"{queue}?status__exact=ready"),
        _counter("Failed", found.queue["failed"], "failed", f"{queue}?status__exact=failed"),
        _counter("Archived", found.archived, "ready", reverse("admin:storage_app_videostore_changelist")),
        _counter(
            "Workers alive",
            workers,
            "ready" if workers else "failed",
            reverse("admin:queue_app_worker_changelist"),
        ),
    ]


def _counter(name: str, number: int, kind: str, url: str) -> dict[str, Any]:
    return {"name": name, "number": number, "kind": kind, "url": url}
