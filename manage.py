#!/usr/bin/env python3
"""Reelkeep's commands: `manage.py help` lists them."""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line


def main() -> None:
    """Run one command; when the database can't be reached, say what starts it instead of a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "archive_site.settings")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
