"""Contents that are kept, and their copies."""

from __future__ import annotations

from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from storage_app.models.account import StorageAccount


class StoredFile(models.Model):
    """One content at one path, the same on every account. Another content at that path is another row."""

    id = models.UUIDField(primary_key=True, db_default=RandomUUID(), editable=False)
    repo = models.TextField(help_text="Repository without the account's user name.")
    path = models.TextField(help_text="Path inside the repository.")
    sha256 = models.CharField(max_length=64)
    size = models.BigIntegerField(help_text="Bytes.")
    duration = models.FloatField(help_text="Seconds; 0 where it has none.")
    content_type = models.CharField(max_length=100, default="video/mp4")
    media = models.JSONField(default=dict, blank=True, help_text="What ffprobe found: container and streams.")
    proof = models.JSONField(null=True, blank=True, help_text="How it was proven whole, and what was noticed.")
    copies_wanted = models.PositiveSmallIntegerField(
        null=True, editable=False, help_text="By the placement policy when it was last asked."
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "stored_file"
        constraints = [
            models.UniqueConstraint(fields=["repo", "path", "sha256"], name="stored_file_content"),
            models.CheckConstraint(condition=Q(sha256__regex=r"^[0-9a-f]{64}$"), name="stored_file_sha256_hex"),
            models.CheckConstraint(condition=Q(size__gt=0), name="stored_file_not_empty"),
        ]
        indexes = [models.Index(fields=["sha256"], name="stored_file_sha256")]

    def __str__(self) -> str:
        return self.path


class Replica(models.Model):
    """A confirmed copy of a stored file on one account. A copy that is found bad or missing loses its row."""

    id = models.UUIDField(primary_key=True, db_default=RandomUUID(), editable=False)
    stored_file = models.ForeignKey(StoredFile, on_delete=models.CASCADE, related_name="replicas")
    account = models.ForeignKey(StorageAccount, on_delete=models.PROTECT, related_name="replicas")
    etag = models.TextField(blank=True, db_default="", help_text="The account's own mark of the content.")
    verified_at = models.DateTimeField(db_default=Now(), help_text="Confirmed by the account, or read back, last.")
    scrubbed_at = models.DateTimeField(null=True, blank=True, help_text="Read back from end to end last.")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "replica"
        constraints = [models.UniqueConstraint(fields=["stored_file", "account"], name="replica_one_per_account")]
        indexes = [
            models.Index(F("account"), F("scrubbed_at").asc(nulls_first=True), name="replica_scrub_order"),
        ]

    def __str__(self) -> str:
        return f"copy on account {self.account_id}"
