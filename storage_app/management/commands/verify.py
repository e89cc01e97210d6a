"""`manage.py verify`: reads copies back now."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import F, QuerySet

from storage_app.backends.base import StorageError
from storage_app.management.subjects import account_of, files_of, natural
from storage_app.models import Replica
from storage_app.upkeep.lease import NeedsPerson, NoBeat, Postpone
from storage_app.upkeep.reading import read_back
from storage_app.upkeep.verify import conclude, verify_quickly


class Command(BaseCommand):
    """Exit code 1 when a copy isn't good or can't be read."""

    help = "Read copies back and compare them; bad ones are replaced from good ones."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which copies, and how."""
        parser.add_argument("video", nargs="?", metavar="KEY", help="A video's id, file key or path.")
        parser.add_argument("--account", type=natural, metavar="N", help="Only copies on this account.")
        parser.add_argument(
            "--quick", action="store_true", help="Only ask for size and hash and read the end; changes nothing."
        )
        parser.add_argument("--json", action="store_true", help="Print what was found as JSON lines.")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Verify and tell."""
        bad = 0
        for replica in self._replicas(options["video"], options["account"]).iterator(chunk_size=500):
            state, text = _verify(replica, quick=options["quick"])
            bad += state != "good"
            line = {"path": replica.stored_file.path, "account": replica.account_id, "state": state, "text": text}
            said = f"{replica.stored_file.path} on account {replica.account}: {state}{text and ', ' + text}"
            self.stdout.write(json.dumps(line) if options["json"] else said)
        if bad:
            sys.exit(1)

    def _replicas(self, video: str | None, account: int | None) -> QuerySet[Replica]:
        if video is None and account is None:
            raise CommandError("Name a video, or an account by --account.")
        replicas = Replica.objects.select_related("stored_file", "account")
        if account is not None:
            replicas = replicas.filter(account=account_of(account))
        if video is not None:
            replicas = replicas.filter(stored_file__in=files_of(video))
        return replicas.order_by(F("scrubbed_at").asc(nulls_first=True), "pk")


def _verify(replica: Replica, *, quick: bool) -> tuple[str, str]:
    """The state of a copy and a word on it."""
    try:
        if quick:
            found = verify_quickly(replica)
        else:
            found = read_back(replica.stored_file, replica.account, lambda _done: None)
            conclude(replica, found, NoBeat())
    except StorageError as error:
        return "unknown", str(error)
    except (Postpone, NeedsPerson) as reason:
        return "kept", str(reason)
    return found.state.value, found.text
