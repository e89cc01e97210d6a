"""The store: WHERE the bytes are and how they come out."""

from __future__ import annotations

from django.apps import AppConfig


class StorageAppConfig(AppConfig):
    """Storage accounts, stored files and their replicas, playback."""

    name = "storage_app"
    verbose_name = "Storage"
