"""Stored files and their copies in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from archive_site.admin_parts import ReadOnlyAdmin, duration, size
from storage_app.admin.copies import count_copies
from storage_app.models import Replica, StoredFile


@admin.register(StoredFile)
class StoredFileAdmin(ReadOnlyAdmin[StoredFile]):
    """Every content that is kept."""

    list_display = ("path", "repo", "bytes", "length", "copies", "created_at")
    search_fields = ("path", "sha256__exact")
    search_help_text = "Part of a path, or a whole sha256."
    ordering = ("-created_at",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[StoredFile]:
        """With the number of copies."""
        return super().get_queryset(request).annotate(copies=count_copies("pk"))

    @admin.display(description="size", ordering="size")
    def bytes(self, file: StoredFile) -> str:
        """In its largest unit."""
        return size(file.size)

    @admin.display(description="length", ordering="duration")
    def length(self, file: StoredFile) -> str:
        """As a clock shows it."""
        return duration(file.duration)

    @admin.display(description="copies")
    def copies(self, file: Any) -> int:
        """How many."""
        return int(file.copies)


@admin.register(Replica)
class ReplicaAdmin(ReadOnlyAdmin[Replica]):
    """Every confirmed copy."""

    list_display = ("stored_file", "account", "verified_at", "scrubbed_at", "created_at")
    list_select_related = ("stored_file", "account")
    list_filter = ("account",)
    search_fields = ("stored_file__path", "stored_file__sha256__exact")
    search_help_text = "Part of a path, or a whole sha256."
    ordering = ("-verified_at",)
