"""Tables of the store: accounts, archived videos, their files, and each file's copies."""

from __future__ import annotations

from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class AccountKind(models.TextChoices):
    """What a storage account is; each kind has one module in `storage_app/backends`."""

    LOCAL = "local", "Local disk"


class StorageAccount(models.Model):
    """A place that keeps copies. `index` is what `video_store.hf_account` names."""

    index = models.PositiveIntegerField(primary_key=True, help_text="1…N, as in video_store.hf_account.")
    kind = models.CharField(max_length=20, choices=AccountKind.choices)
    username = models.CharField(
        max_length=100, unique=True, help_text="First part of the repository's name: USERNAME/weaboo-WORK."
    )
    root = models.TextField("folder", help_text="Absolute path of the folder that holds the copies.")
    enabled = models.BooleanField(default=True, db_default=True, help_text="New videos are copied here.")
    paused_until = models.DateTimeField(null=True, blank=True, help_text="Nothing is sent here until then.")
    pause_reason = models.TextField(default="", db_default="", blank=True)
    pause_count = models.IntegerField(default=0, db_default=0, help_text="Pauses since the last success.")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "storage_account"
        ordering = ["index"]
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=AccountKind.values), name="storage_account_kind_known"),
            models.UniqueConstraint(fields=["kind", "root"], name="storage_account_place"),
        ]

    def __str__(self) -> str:
        return f"{self.index} · {self.username}"


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
    """A confirmed copy of a stored file on one account: its sha256 was read back from there at `verified_at`."""

    id = models.UUIDField(primary_key=True, db_default=RandomUUID(), editable=False)
    stored_file = models.ForeignKey(StoredFile, on_delete=models.CASCADE, related_name="replicas")
    account = models.ForeignKey(StorageAccount, on_delete=models.PROTECT, related_name="replicas")
    verified_at = models.DateTimeField(db_default=Now())
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "replica"
        constraints = [models.UniqueConstraint(fields=["stored_file", "account"], name="replica_one_per_account")]

    def __str__(self) -> str:
        return f"copy on account {self.account_id}"


class VideoStore(models.Model):
    """An archived video, by its natural key. CONTRACT §1 fixes the columns up to `created_at`."""

    id = models.UUIDField(primary_key=True, db_default=RandomUUID(), editable=False)
    mal_id = models.BigIntegerField("work")
    episode = models.IntegerField()
    provider = models.CharField(max_length=20)
    resolution = models.CharField(max_length=10, null=True, blank=True)  # noqa: DJ001 (NULL is part of the key)
    file_key = models.CharField(max_length=64)
    hf_account = models.IntegerField("primary account")
    hf_repo = models.TextField("repository")
    hf_path = models.TextField("path")
    hf_direct_url = models.TextField("direct URL")
    stream_url = models.TextField("stream URL")
    created_at = models.DateTimeField("archived", db_default=Now())
    title = models.TextField(db_default="", blank=True, help_text="As the page named it.")
    # NULL for a row that an older client stored by upsert_video_store alone.
    stored_file = models.ForeignKey(StoredFile, null=True, blank=True, on_delete=models.PROTECT, related_name="videos")

    class Meta:
        db_table = "video_store"
        verbose_name = "archived video"
        constraints = [
            models.UniqueConstraint(
                fields=["mal_id", "episode", "provider", "resolution"],
                name="video_store_key",
                nulls_distinct=False,
            ),
        ]
        indexes = [
            models.Index(fields=["-created_at"], name="video_store_newest"),
            models.Index(fields=["file_key"], name="video_store_file_key"),
        ]

    def __str__(self) -> str:
        parts = [str(self.mal_id), f"episode {self.episode}", self.provider, self.resolution or ""]
        return " · ".join(part for part in parts if part)


class SidecarKind(models.TextChoices):
    """What lies beside a video."""

    THUMBNAIL = "thumbnail", "Thumbnail"
    SUBTITLES = "subtitles", "Subtitles"


class Sidecar(models.Model):
    """A file that belongs to an archived video and is kept with it, on the same accounts."""

    id = models.BigAutoField(primary_key=True)
    video = models.ForeignKey(VideoStore, on_delete=models.CASCADE, related_name="sidecars")
    stored_file = models.ForeignKey(StoredFile, on_delete=models.PROTECT, related_name="sidecars")
    kind = models.CharField(max_length=20, choices=SidecarKind.choices)
    language = models.CharField(max_length=35, blank=True, db_default="", help_text="BCP 47, as the source names it.")
    name = models.TextField(blank=True, db_default="")

    class Meta:
        db_table = "sidecar"
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=SidecarKind.values), name="sidecar_kind_known"),
            models.UniqueConstraint(fields=["video", "stored_file"], name="sidecar_once"),
        ]

    def __str__(self) -> str:
        return " · ".join(part for part in (self.get_kind_display(), self.language, self.name) if part)
