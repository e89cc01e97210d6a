"""The admin as operators see it: our titles and index page on Django's own admin."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.apps import AdminConfig
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse

_STORE_GROUPS = (
    ("Archive", ("VideoStore", "StoredFile", "Replica", "Tombstone")),
    ("Storage", ("StorageAccount", "PlacementPolicy", "RetentionRule")),
    ("Upkeep", ("StorageTask", "StorageEvent", "Orphan")),
)
_ORDER = ("Queue", *(name for name, _ in _STORE_GROUPS))
"""The store's models as operators think of them: what there is, where it goes, what is being done about it."""


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

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Django's list, with the store's models in groups of their own."""
        apps: list[Any] = []
        for app in super().get_app_list(request, app_label):
            apps.extend(_store_groups(app, request.path) if app["app_label"] == "storage_app" else [app])
        return sorted(apps, key=lambda app: _ORDER.index(app["name"]) if app["name"] in _ORDER else len(_ORDER))


def _store_groups(app: Any, path: str) -> list[Any]:
    """One entry for each group that this user may see something of, and one for what belongs to none."""
    models = {model["object_name"]: model for model in app["models"]}
    groups = [
        {**app, "name": name, "models": [models.pop(wanted) for wanted in names if wanted in models]}
        for name, names in _STORE_GROUPS
    ]
    groups.append({**app, "name": "Storage, further", "models": list(models.values())})
    for group in groups:
        if not any(model["admin_url"] and path.startswith(model["admin_url"]) for model in group["models"]):
            group["app_url"] += "#"  # else the side bar would mark every group as the current one
    return [group for group in groups if group["models"]]


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
