"""One row per archive job."""

from __future__ import annotations

from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models import Q
from django.db.models.fields.json import KT
from django.db.models.functions import Now

from queue_app.states import VideoStatus


class VideoQueue(models.Model):
    """A video to archive, by (mal_id, episode, provider, resolution). CONTRACT §1 fixes all up to `updated_at`."""

    id = models.UUIDField(primary_key=True, db_default=RandomUUID(), editable=False)
    mal_id = models.BigIntegerField("work", help_text="Id of the work (MyAnimeList id or any other number).")
    episode = models.IntegerField(help_text="Episode number, from 0.")
    provider = models.CharField(max_length=20, help_text="Who the source is, for example “upload”.")
    video_url = models.TextField("video URL", help_text="Direct MP4/MKV, an HLS playlist, or a page.")
    resolution = models.CharField(max_length=10, null=True, blank=True, help_text="480p, 720p, …; empty: as it comes.")  # noqa: DJ001 (NULL is part of the key)
    status = models.CharField(max_length=20, choices=VideoStatus.choices, db_default=VideoStatus.PENDING)
    retry_count = models.IntegerField("failures", db_default=0, help_text="Grows by one at every failure.")
    error_message = models.TextField("last failure", null=True, blank=True)  # noqa: DJ001 (contract: NULL)
    created_at = models.DateTimeField("enqueued", db_default=Now())
    updated_at = models.DateTimeField("last status change", db_default=Now())

    source_host = models.TextField(db_default="", blank=True, editable=False, help_text="Host and port of the URL.")
    turn = models.BigIntegerField(
        db_default=0, editable=False, help_text="Lower goes first: each work's videos take turns with the others'."
    )
    priority = models.SmallIntegerField(db_default=0, help_text="Higher goes first.")
    attempt = models.IntegerField(db_default=0, help_text="Attempts started since it was last enqueued.")
    max_attempts = models.IntegerField(db_default=5)
    not_before = models.DateTimeField("waits until", null=True, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True, editable=False)
    worker_id = models.TextField("worker", null=True, blank=True)  # noqa: DJ001 (NULL: nobody's)
    lease_token = models.UUIDField(null=True, blank=True, editable=False)
    lease_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    stage = models.CharField(max_length=20, db_default="", blank=True)
    bytes_done = models.BigIntegerField(db_default=0)
    bytes_total = models.BigIntegerField(null=True, blank=True)
    speed = models.BigIntegerField(null=True, blank=True, help_text="Bytes per second.")
    failure_class = models.CharField(max_length=20, db_default="", blank=True)
    page_url = models.TextField(
        "page URL",
        db_default="",
        blank=True,
        help_text="Where the video URL came from; asked for a new one if it expires.",
    )
    options = models.JSONField(
        db_default=models.Value({}, models.JSONField()), blank=True, help_text="mirrors: URLs of the very same file."
    )
    artifact = models.JSONField(
        null=True, blank=True, editable=False, help_text="What the download lane hands to the upload lane."
    )

    class Meta:
        db_table = "video_queue"
        verbose_name = "queued video"
        verbose_name_plural = "video queue"
        constraints = [
            models.UniqueConstraint(
                fields=["mal_id", "episode", "provider", "resolution"],
                name="video_queue_key",
                nulls_distinct=False,
            ),
            models.CheckConstraint(condition=Q(episode__gte=0), name="video_queue_episode_from_0"),
            models.CheckConstraint(condition=Q(status__in=VideoStatus.values), name="video_queue_status_known"),
            # The file key writes NULL as the empty string and joins by colons: neither may occur in a resolution.
            models.CheckConstraint(
                condition=Q(resolution__isnull=True) | Q(resolution__regex=r"^[^:/]+$"),
                name="video_queue_resolution_form",
            ),
        ]
        indexes = [
            models.Index(
                models.F("priority").desc(),
                "created_at",
                name="video_queue_pending",
                condition=Q(status=VideoStatus.PENDING),
            ),
            models.Index(
                models.F("priority").desc(),
                "turn",
                "created_at",
                name="video_queue_turn",
                condition=Q(status=VideoStatus.PENDING),
            ),
            models.Index(
                fields=["mal_id", "turn"], name="video_queue_turn_of_work", condition=Q(status=VideoStatus.PENDING)
            ),
            models.Index(
                fields=["worker_id", "status"],
                name="video_queue_in_work",
                condition=Q(status__in=[VideoStatus.DOWNLOADING, VideoStatus.UPLOADING]),
            ),
            models.Index(
                KT("artifact__sha256"),
                name="video_queue_content",
                condition=Q(status=VideoStatus.UPLOADING),
            ),
            # The id makes the order total: pages follow one another at the same cost, also among rows of one moment.
            models.Index(fields=["status", "-updated_at", "-id"], name="video_queue_status"),
            models.Index(fields=["-created_at", "-id"], name="video_queue_newest"),
            models.Index(
                fields=["source_host", "-created_at", "-id"],
                name="video_queue_unfinished_of_host",
                condition=~Q(status=VideoStatus.READY),
            ),
        ]

    def __str__(self) -> str:
        parts = [str(self.mal_id), f"episode {self.episode}", self.provider, self.resolution or ""]
        return " · ".join(part for part in parts if part)

    @property
    def percent(self) -> int | None:
        """Progress of the current stage, 0–100; None while the size is unknown."""
        if self.status == VideoStatus.READY:
            return 100
        if not self.bytes_total:
            return None
        return min(100, self.bytes_done * 100 // self.bytes_total)
