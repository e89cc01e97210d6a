"""What the commands that steer jobs share."""

from __future__ import annotations

import json
import sys
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from queue_app.steering import Outcome

ACTOR = "manage.py"


def add_job_arguments(parser: CommandParser, *, nargs: str) -> None:
    """The jobs' ids, and --json."""
    parser.add_argument("ids", nargs=nargs, metavar="ID", type=_job_id, help="A job's id.")
    parser.add_argument("--json", action="store_true", help="Print what was done as JSON.")


def report(command: BaseCommand, outcome: Outcome, done: str, rule: str, *, as_json: bool) -> None:
    """Says what became of each job; exits with 1 when one couldn't be taken."""
    if as_json:
        data = {
            done: [str(job_id) for job_id in outcome.done],
            "refused": {str(job_id): status for job_id, status in outcome.refused.items()},
            "unknown": [str(job_id) for job_id in outcome.unknown],
        }
        command.stdout.write(json.dumps(data))
    else:
        for job_id in outcome.done:
            command.stdout.write(f"{job_id}: {done}")
    for job_id, status in outcome.refused.items():
        command.stderr.write(f"{job_id}: it is {status}; {rule}.")
    for job_id in outcome.unknown:
        command.stderr.write(f"{job_id}: there is no job with this id.")
    if outcome.refused or outcome.unknown:
        sys.exit(1)


def _job_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise CommandError(f"{text!r} is no job's id: it looks like 0b2c6f1e-8d3a-4c57-9a60-2f1f6f0c9d11.") from None
