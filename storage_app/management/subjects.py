"""What the commands that look after copies share."""

from __future__ import annotations

from argparse import ArgumentTypeError
from uuid import UUID

from django.core.management.base import CommandError
from django.db.models import Q, QuerySet

from storage_app.models import Sidecar, StorageAccount, StoredFile, VideoStore

ACTOR = "manage.py"


def account_of(index: int) -> StorageAccount:
    """The account of this number. Raises CommandError."""
    account = StorageAccount.objects.filter(pk=index).first()
    if account is None:
        raise CommandError(f"There is no storage account {index}.")
    return account


def files_of(name: str) -> QuerySet[StoredFile]:
    """The file of a video and what lies beside it, by the video's id, its file key, or the file's path in the store.
    Raises CommandError."""
    videos = VideoStore.objects.filter(Q(pk=_uuid(name)) if _uuid(name) else Q(file_key=name) | Q(hf_path=name))
    beside = Sidecar.objects.filter(video__in=videos).values("stored_file")
    files = StoredFile.objects.filter(Q(pk__in=videos.values("stored_file")) | Q(pk__in=beside) | Q(path=name))
    if not files.exists():
        raise CommandError(f"{name}: no archived video has this id, file key or path.")
    return files.order_by("path")


def natural(text: str) -> int:
    """For an argument that counts from 1. Raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if len(text) == 36 else None
    except ValueError:
        return None
