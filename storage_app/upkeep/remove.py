"""Removes objects from accounts, unless a table still expects them there."""

from __future__ import annotations

from datetime import timedelta

from django.utils.timezone import now

from storage_app.models import Orphan, Replica, StorageAccount, StorageTask, TaskKind, VideoStore
from storage_app.upkeep import jobs
from storage_app.upkeep.drain import retire_if_empty
from storage_app.upkeep.events import record
from storage_app.upkeep.lease import Beat, Postpone
from storage_app.upkeep.reading import naming


def remove(task: StorageTask, beat: Beat) -> None:
    """Task: the object at a place of an account. Raises Postpone and StorageError."""
    account = task.account
    if account is None:
        return
    _require_quiet(task)
    if expected(account, task.repo, task.path):
        text = f"{task.path} on account {account} was to be removed, but a video has it by now; it stays."
        record("kept", text, account=account.index, repo=task.repo, path=task.path, actor=task.actor)
    else:
        beat.check()
        with naming(account) as backend:
            backend.delete(task.repo, task.path)
        text = f"{task.path} was removed from account {account}. {task.reason}".strip()
        record("removed", text, account=account.index, repo=task.repo, path=task.path, actor=task.actor)
    Orphan.objects.filter(account=account, repo=task.repo, path=task.path).delete()


def after_removal(task: StorageTask) -> None:
    """The task is gone: was it the last of an account that is being drained?"""
    if task.account is not None:
        retire_if_empty(task.account)


def expected(account: StorageAccount, repo: str, path: str) -> bool:
    """Does any table say that an object lies there? Rows that older clients wrote have no stored file."""
    if Replica.objects.filter(account=account, stored_file__repo=repo, stored_file__path=path).exists():
        return True
    stem = path.rpartition("/")[2].partition(".")[0]
    alone = VideoStore.objects.filter(file_key=stem, stored_file=None, hf_account=account.index, hf_path=path)
    return alone.filter(hf_repo__in=[repo, f"{account.username}/{repo}"]).exists()


def _require_quiet(task: StorageTask) -> None:
    """Raises Postpone while a job or another task puts something there."""
    copying = StorageTask.objects.filter(
        kind=TaskKind.REPLICATE, stored_file__repo=task.repo, stored_file__path=task.path, lease_expires_at__gt=now()
    )
    if jobs.being_stored(task.path) or jobs.storing_beside(task.repo, task.path) or copying.exists():
        raise Postpone("Something is being stored at that place; it is removed later.", timedelta(minutes=1))
