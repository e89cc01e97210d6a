"""What happened to copies and accounts, written down for operators."""

from __future__ import annotations

import logging

from storage_app.models import StorageEvent, StoredFile

log = logging.getLogger(__name__)


def record(
    kind: str,
    text: str,
    *,
    account: int | None = None,
    file: StoredFile | None = None,
    repo: str = "",
    path: str = "",
    actor: str = "system",
) -> None:
    """Write an event down, and into the log. `text` is a sentence without secrets."""
    StorageEvent.objects.create(
        kind=kind,
        account=account,
        repo=file.repo if file else repo,
        path=file.path if file else path,
        sha256=file.sha256 if file else "",
        actor=actor,
        text=text,
    )
    log.info("%s", text)
