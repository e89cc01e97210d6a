"""What the upkeep of the store has to do, has done, and has found."""

from __future__ import annotations

from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from storage_app.models.account import StorageAccount
from storage_app.models.file import StoredFile


class TaskKind(models.TextChoices):
    """What a storage task does; each kind has one function in `storage_app/upkeep`."""

    REPLICATE = "replicate", "Replicate"  # a file: to the copies that its placement wants, no more, no less
    VERIFY = "verify", "Verify"  # a copy: read it back from end to end
    REMOVE = "remove", "Remove"  # an object of an account
    RECONCILE = "reconcile", "Reconcile"  # an account: its list against the tables, both ways
    MEASURE = "measure", "Measure"  # an account: used and free bytes
    MANIFEST = "manifest", "Write manifest"  # a video's file: its videos' manifests anew


class StorageTask(models.Model):
    """Work at the store that is due. A finished one is deleted; what it did is a StorageEvent.

    Whoever works at it holds its lease; one whose lease has run out is anybody's.
    """

    id = models.UUIDField(primary_key=True, db_default=RandomUUID(), editable=False)
    kind = models.CharField(max_length=20, choices=TaskKind.choices)
    stored_file = models.ForeignKey(StoredFile, null=True, blank=True, on_delete=models.CASCADE, related_name="tasks")
    account = models.ForeignKey(StorageAccount, null=True, blank=True, on_delete=models.CASCADE, related_name="tasks")
    repo = models.TextField(blank=True, db_default="")
    path = models.TextField(blank=True, db_default="")
    reason = models.TextField(blank=True, db_default="", help_text="Why it is to be done.")
    actor = models.CharField(max_length=150, db_default="system", help_text="Who asked for it.")
    attempts = models.IntegerField(default=0, db_default=0)
    error_message = models.TextField(blank=True, db_default="")
    not_before = models.DateTimeField(db_default=Now())
    lease_token = models.UUIDField(null=True, blank=True, editable=False)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    worker_id = models.CharField(max_length=100, blank=True, db_default="")
    bytes_done = models.BigIntegerField(default=0, db_default=0)
    bytes_total = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "storage_task"
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=TaskKind.values), name="storage_task_kind_known"),
            models.UniqueConstraint(
                fields=["kind", "stored_file", "account", "repo", "path"],
                name="storage_task_once",
                nulls_distinct=False,
            ),
        ]
        indexes = [models.Index(fields=["kind", "not_before"], name="storage_task_due")]

    def __str__(self) -> str:
        what = self.path or (str(self.stored_file) if self.stored_file_id else "")
        where = f"account {self.account_id}" if self.account_id else ""
        return " · ".join(part for part in (self.get_kind_display(), what, where) if part)


class StorageEvent(models.Model):
    """Something that happened to a copy or an account: what an operator reads. Names are kept, not references."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(db_default=Now())
    kind = models.CharField(max_length=40, help_text="Such as copied, bad_copy, missing_copy, removed, unreachable.")
    account = models.IntegerField(null=True, blank=True, help_text="The account's index.")
    repo = models.TextField(blank=True, db_default="")
    path = models.TextField(blank=True, db_default="")
    sha256 = models.CharField(max_length=64, blank=True, db_default="")
    actor = models.CharField(max_length=150, db_default="system")
    text = models.TextField(help_text="A sentence for people.")

    class Meta:
        db_table = "storage_event"
        indexes = [
            models.Index(fields=["-at"], name="storage_event_newest"),
            models.Index(fields=["path", "at"], name="storage_event_path"),
        ]

    def __str__(self) -> str:
        return self.text


class Orphan(models.Model):
    """An object on an account that no table knows. Removed only once it was seen twice and somebody confirmed it."""

    id = models.BigAutoField(primary_key=True)
    account = models.ForeignKey(StorageAccount, on_delete=models.CASCADE, related_name="orphans")
    repo = models.TextField()
    path = models.TextField()
    size = models.BigIntegerField(help_text="Bytes.")
    found_at = models.DateTimeField("found", db_default=Now())
    seen_at = models.DateTimeField("last seen", db_default=Now())
    confirmed_at = models.DateTimeField("removal confirmed", null=True, blank=True)
    confirmed_by = models.CharField(max_length=150, blank=True, db_default="")

    class Meta:
        db_table = "orphan"
        constraints = [models.UniqueConstraint(fields=["account", "repo", "path"], name="orphan_once")]

    def __str__(self) -> str:
        return self.path


class Tombstone(models.Model):
    """A video that was deleted on purpose, so that nothing brings it back unasked."""

    id = models.BigAutoField(primary_key=True)
    mal_id = models.BigIntegerField("work")
    episode = models.IntegerField()
    provider = models.CharField(max_length=20)
    resolution = models.CharField(max_length=10, null=True, blank=True)  # noqa: DJ001 (NULL is part of the key)
    file_key = models.CharField(max_length=64)
    sha256 = models.CharField(max_length=64, blank=True, db_default="")
    size = models.BigIntegerField(null=True, help_text="Bytes.")
    title = models.TextField(blank=True, db_default="")
    deleted_at = models.DateTimeField("deleted", db_default=Now())
    actor = models.CharField(max_length=150, db_default="system")
    reason = models.TextField(blank=True, db_default="")

    class Meta:
        db_table = "tombstone"
        indexes = [
            models.Index(fields=["mal_id", "episode"], name="tombstone_work"),
            models.Index(fields=["-deleted_at"], name="tombstone_newest"),
        ]

    def __str__(self) -> str:
        parts = [str(self.mal_id), f"episode {self.episode}", self.provider, self.resolution or ""]
        return " · ".join(part for part in parts if part)
