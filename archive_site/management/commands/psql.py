"""`manage.py psql`: the instance's database in PostgreSQL's own shell."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from archive_site.embedded_postgres import EmbeddedPostgres, exec_psql, read_dsn


class Command(BaseCommand):
    """Becomes psql; the password travels in its environment, not on its command line."""

    help = "Open the instance's database in psql; what stands behind -- is handed to it."

    def add_arguments(self, parser: CommandParser) -> None:
        """What psql is given."""
        parser.add_argument("arguments", nargs="*")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Find the database as every command does, then become psql."""
        dsn = settings.DATABASE_URL or read_dsn(settings.REELKEEP_DATA)
        stopped = settings.USES_EMBEDDED_POSTGRES and not EmbeddedPostgres(settings.REELKEEP_DATA).is_running()
        if stopped or dsn is None:
            raise CommandError("The embedded PostgreSQL doesn't run. Start it with `make run`.")
        exec_psql(dsn, options["arguments"])
