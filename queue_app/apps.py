"""The queue: WHAT is archived and how far it has come."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks
from django.db.models.signals import post_migrate


class QueueAppConfig(AppConfig):
    """Hooks what every `migrate` must end with: the protection of the tables, and the chores' schedules.

    Registers the checks, too.
    """

    name = "queue_app"
    verbose_name = "Queue"

    def ready(self) -> None:
        from queue_app.checks import resolvers_exist
        from queue_app.protection import protect_database
        from queue_app.schedules import ensure_schedules

        post_migrate.connect(protect_database, sender=self)
        post_migrate.connect(ensure_schedules, sender=self)
        checks.register(resolvers_exist)
