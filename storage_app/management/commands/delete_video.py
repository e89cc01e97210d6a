"""`manage.py delete_video KEY…`: deletes archived videos from the tables and from every account."""

from __future__ import annotations

import json
import sys
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from storage_app.deletion import delete_videos
from storage_app.key_rules import filter_by, parse_key
from storage_app.models import VideoStore

ACTOR = "manage.py"


class Command(BaseCommand):
    """Exit code 1 when one of the videos isn't archived; the others are deleted all the same."""

    help = (
        "Delete archived videos with every copy of them. Copies on accounts that can't be reached now are removed once "
        "they can."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Which videos, and why."""
        parser.add_argument(
            "keys", nargs="+", metavar="KEY", help="WORK/EPISODE/PROVIDER[/RESOLUTION], or the video's id."
        )
        parser.add_argument("--reason", required=True, help="For the tombstone, the events and the jobs' history.")
        parser.add_argument("--json", action="store_true", help="Print what was done as JSON.")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Delete and tell."""
        found = {text: _find(text) for text in options["keys"]}
        deleted: list[str] = []
        unknown: list[str] = []
        for text, video in found.items():
            gone = video is not None and delete_videos([video.pk], actor=ACTOR, reason=options["reason"]) == 1
            (deleted if gone else unknown).append(text)
        if options["json"]:
            self.stdout.write(json.dumps({"deleted": deleted, "unknown": unknown}))
        else:
            for text in deleted:
                self.stdout.write(f"{text}: deleted")
        for text in unknown:
            self.stderr.write(f"{text}: no such video is archived.")
        if unknown:
            sys.exit(1)


def _find(text: str) -> VideoStore | None:
    no_video = CommandError(f"{text!r} is no video: say WORK/EPISODE/PROVIDER[/RESOLUTION], or its id.")
    parts = text.split("/")
    if len(parts) == 1:
        try:
            return VideoStore.objects.filter(pk=UUID(text)).first()
        except ValueError:
            raise no_video from None
    if len(parts) not in {3, 4}:
        raise no_video
    work, episode, provider, *resolution = parts
    key = parse_key(work, episode, provider, resolution[0] if resolution else None)
    if key is None:
        raise no_video
    return VideoStore.objects.filter(**filter_by(key)).first()
