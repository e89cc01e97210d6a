"""Works, where their episodes may be had, and what those places were last resolved to."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import MD5, Now


class Work(models.Model):
    """A work whose sources are registered, so that players can ask for its episodes before they are archived."""

    mal_id = models.BigIntegerField(
        "work",
        primary_key=True,
        validators=[MinValueValidator(0)],
        help_text="Id of the work (MyAnimeList id or any other number).",
    )
    title = models.CharField(max_length=500)
    created_at = models.DateTimeField("registered", db_default=Now())
    updated_at = models.DateTimeField("last change", db_default=Now())

    class Meta:
        db_table = "work"
        constraints = [models.CheckConstraint(condition=Q(mal_id__gte=0), name="work_from_0")]
        indexes = [models.Index(fields=["-updated_at"], name="work_newest")]

    def __str__(self) -> str:
        return f"{self.mal_id} · {self.title}"


class WorkSource(models.Model):
    """One place where an episode may be had. Several may be registered for the same video; the first is archived."""

    id = models.BigAutoField(primary_key=True)
    work = models.ForeignKey(Work, on_delete=models.CASCADE, related_name="sources")
    episode = models.IntegerField(help_text="Episode number, from 0.")
    provider = models.CharField(max_length=20, help_text="Who the source is, for example “animasu”.")
    resolution = models.CharField(max_length=10, null=True, blank=True, help_text="480p, 720p, …; empty: as it comes.")  # noqa: DJ001 (NULL is part of the key)
    label = models.CharField(max_length=100, help_text="What viewers choose by, for example “Vidhidepro 720p”.")
    url = models.TextField("URL", help_text="A page, an HLS playlist or a file.")
    resolver = models.CharField(
        max_length=50, blank=True, db_default="", help_text="The only resolver to ask; empty: each in turn."
    )
    position = models.IntegerField(db_default=0, help_text="Lower is shown first.")
    enabled = models.BooleanField(db_default=True, help_text="Is it shown and archived?")
    created_at = models.DateTimeField("registered", db_default=Now())

    class Meta:
        db_table = "work_source"
        verbose_name = "source"
        ordering = ("episode", "position", "id")
        constraints = [
            # By the URL's digest: an index entry may not be as long as a URL.
            models.UniqueConstraint(
                "work",
                "episode",
                "provider",
                "resolution",
                MD5("url"),
                name="work_source_once",
                nulls_distinct=False,
                violation_error_message="This URL is registered for this video already.",
            ),
            models.CheckConstraint(condition=Q(episode__gte=0), name="work_source_episode_from_0"),
            models.CheckConstraint(
                condition=Q(resolution__isnull=True) | Q(resolution__regex=r"^[^:/]+$"),
                name="work_source_resolution_form",
            ),
        ]
        indexes = [models.Index(fields=["work", "episode", "position", "id"], name="work_source_shown")]

    def __str__(self) -> str:
        return f"{self.work_id} · episode {self.episode} · {self.label}"


class ResolvedSource(models.Model):
    """What a URL was last resolved to, for all web processes. Written by queue_app.sources.resolving alone."""

    key = models.CharField(max_length=64, primary_key=True, help_text="See queue_app.sources.wanted.")
    url = models.TextField(help_text="As it is registered.")
    url_resolved = models.TextField(null=True)  # noqa: DJ001 (NULL: it could not be resolved)
    resolver = models.CharField(max_length=50, db_default="", help_text="Which one found it.")
    error = models.TextField(db_default="", help_text="Why the last attempt came to nothing.")
    resolved_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True, help_text="Until then nobody asks anew.")
    lease_token = models.UUIDField(null=True)
    lease_expires_at = models.DateTimeField(null=True, help_text="Until then somebody is at it.")

    class Meta:
        db_table = "resolved_source"
        indexes = [models.Index(fields=["expires_at"], name="resolved_source_age")]

    def __str__(self) -> str:
        return self.key
