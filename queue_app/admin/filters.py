"""Filters of the queue's list, one for each question of an operator."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest

from queue_app.failures import FAILURE_CLASSES
from queue_app.models import SourceHost, VideoQueue
from queue_app.states import IN_WORK, VideoStatus

PROVIDERS_FROM_NEWEST = 1000
HOSTS_SHOWN = 30

ACTIVITIES = {
    "in-work": ("In work", Q(status__in=IN_WORK)),
    "waiting": ("Waiting to retry", Q(status=VideoStatus.PENDING, not_before__gt=Now())),
    "due": ("Waiting for a worker", Q(status=VideoStatus.PENDING) & ~Q(not_before__gt=Now())),
}


class ActivityFilter(SimpleListFilter):
    """What goes on right now?"""

    title = "activity"
    parameter_name = "activity"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        """Value and label."""
        return [(value, label) for value, (label, _) in ACTIVITIES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[VideoQueue]) -> QuerySet[VideoQueue]:
        """Unknown values filter nothing."""
        choice = ACTIVITIES.get(self.value() or "")
        return queryset.filter(choice[1]) if choice else queryset


class FailureClassFilter(SimpleListFilter):
    """Why do jobs fail?"""

    title = "failure class"
    parameter_name = "failure"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        """All classes there are, so that the answer "none" shows too."""
        return [(name, name.replace("_", " ")) for name in FAILURE_CLASSES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[VideoQueue]) -> QuerySet[VideoQueue]:
        """Unknown values filter nothing."""
        value = self.value()
        return queryset.filter(failure_class=value) if value in FAILURE_CLASSES else queryset


class ProviderFilter(SimpleListFilter):
    """Which source?"""

    title = "provider"
    parameter_name = "provider"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> Iterable[tuple[str, str]]:
        """Providers of the newest jobs: asking for all of them would read the whole table."""
        newest = VideoQueue.objects.order_by("-created_at").values_list("provider", flat=True)
        names = sorted(set(newest[:PROVIDERS_FROM_NEWEST]))
        return [(name, name) for name in names]

    def queryset(self, request: HttpRequest, queryset: QuerySet[VideoQueue]) -> QuerySet[VideoQueue]:
        """By exact name."""
        value = self.value()
        return queryset.filter(provider=value) if value else queryset


class SourceHostFilter(SimpleListFilter):
    """What is unfinished of a host that gives trouble? (What is ready isn't asked for, nor in the index.)"""

    title = "unfinished, by host"
    parameter_name = "host"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        """Hosts that failed lately or have a limit: there are few of them, and those are asked for."""
        hosts = list(SourceHost.objects.order_by("-failures", "host").values_list("host", flat=True)[:HOSTS_SHOWN])
        chosen = self.value()
        if chosen and chosen not in hosts:
            hosts.append(chosen)
        return [(host, host) for host in hosts]

    def queryset(self, request: HttpRequest, queryset: QuerySet[VideoQueue]) -> QuerySet[VideoQueue]:
        """By exact name and port."""
        value = self.value()
        return queryset.filter(source_host=value).exclude(status=VideoStatus.READY) if value else queryset
