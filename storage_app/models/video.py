"""Archived videos and what lies beside them."""

from __future__ import annotations

from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from storage_app.models.file import StoredFile


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
    STORYBOARD = "storyboard", "Storyboard"
    MANIFEST = "manifest", "Manifest"


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
