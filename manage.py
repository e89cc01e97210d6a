#!/usr/bin/env python3
"""Reelkeep's commands: `manage.py help` lists them."""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line
from django.db import OperationalError


def main() -> None:
    """Run one command; when the database can't be reached, say what to do instead of showing a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "archive_site.settings")
    try:
        execute_from_command_line(sys.argv)
    except OperationalError as error:
        sys.exit(f"The database can't be reached: {_advice(error)}")


def _advice(error: OperationalError) -> str:
    from django.conf import settings

    if settings.USES_EMBEDDED_POSTGRES:
        return f"the embedded PostgreSQL of {settings.REELKEEP_DATA} doesn't run. Start it with `make run`."
    return f"look at DATABASE_URL. The server said: {error}"


if __name__ == "__main__":
    main()
