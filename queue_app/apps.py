"""The queue: WHAT is archived and how far it has come."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class QueueAppConfig(AppConfig):
    """Hooks the protection of tables and functions to the end of every `migrate`."""

    name = "queue_app"
    verbose_name = "Queue"

    def ready(self) -> None:
        from queue_app.protection import protect_database

        post_migrate.connect(protect_database, sender=self)
