"""Storage accounts: the places that keep copies."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class AccountKind(models.TextChoices):
    """What a storage account is; each kind has one module in `storage_app/backends`."""

    LOCAL = "local", "Local disk"
    S3 = "s3", "S3-compatible"
    HUGGINGFACE = "huggingface", "Hugging Face"


class Addressing(models.TextChoices):
    """How an S3 request names its bucket."""

    AUTO = "auto", "As the endpoint needs it"
    PATH = "path", "In the path"
    VIRTUAL = "virtual", "In the host name"


class StorageAccount(models.Model):
    """A place that keeps copies. `index` is what `video_store.hf_account` names.

    An account is in use (`enabled`), disabled (it keeps its copies and gets no new ones), draining (disabled, and its
    copies are moved to the others) or retired (drained, and kept for its number alone).
    """

    index = models.PositiveIntegerField(primary_key=True, help_text="1…N, as in video_store.hf_account.")
    kind = models.CharField(max_length=20, choices=AccountKind.choices)
    username = models.CharField(
        max_length=100, unique=True, help_text="First part of the repository's name: USERNAME/weaboo-WORK."
    )
    root = models.TextField(
        "folder", blank=True, db_default="", help_text="Absolute path of the folder that holds the copies."
    )
    endpoint = models.TextField(
        blank=True, db_default="", help_text="URL of the service; empty for the kind's own (Amazon, the public Hub)."
    )
    bucket = models.CharField(max_length=255, blank=True, db_default="")
    region = models.CharField(max_length=100, blank=True, db_default="")
    addressing = models.CharField(max_length=10, choices=Addressing.choices, default="auto", db_default="auto")
    encryption = models.CharField(
        "server-side encryption",
        max_length=100,
        blank=True,
        db_default="",
        help_text="AES256 or aws:kms; empty for none.",
    )
    public_url = models.TextField(
        "public URL", blank=True, db_default="", help_text="Of a CDN before a bucket that everybody may read."
    )
    access_key = models.CharField("access key", max_length=255, blank=True, db_default="")
    secret = models.TextField(blank=True, db_default="", editable=False, help_text="Sealed by storage_app.credentials.")
    secret_env = models.CharField(
        "secret's variable",
        max_length=255,
        blank=True,
        db_default="",
        help_text="Environment variable that holds the token or secret key, in the place of one kept here.",
    )
    enabled = models.BooleanField(default=True, db_default=True, help_text="New videos are copied here.")
    draining = models.BooleanField(default=False, db_default=False, help_text="Its copies are moved to the others.")
    retired_at = models.DateTimeField("retired", null=True, blank=True)
    paused_until = models.DateTimeField(null=True, blank=True, help_text="Nothing is sent here until then.")
    pause_reason = models.TextField(default="", db_default="", blank=True)
    pause_count = models.IntegerField(default=0, db_default=0, help_text="Pauses since the last success.")
    limit_bytes = models.BigIntegerField(
        "limit", null=True, blank=True, validators=[MinValueValidator(1)], help_text="Bytes that may be used here."
    )
    scrub_bytes = models.BigIntegerField(
        "scrub budget",
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="Bytes that are read back in a day; empty for SCRUB_BYTES_PER_DAY.",
    )
    used_bytes = models.BigIntegerField("used", null=True, blank=True, help_text="As the account itself says.")
    free_bytes = models.BigIntegerField("free", null=True, blank=True, help_text="Of the account, or up to its limit.")
    measured_at = models.DateTimeField("measured", null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "storage_account"
        ordering = ["index"]
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=AccountKind.values), name="storage_account_kind_known"),
            models.UniqueConstraint(fields=["root"], condition=Q(kind="local"), name="storage_account_folder"),
            models.UniqueConstraint(
                fields=["endpoint", "bucket"], condition=Q(kind="s3"), name="storage_account_bucket"
            ),
            models.CheckConstraint(
                condition=Q(draining=False) | Q(enabled=False), name="storage_account_drains_unused"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.index} · {self.username}"


class CapacitySample(models.Model):
    """What an account held at a moment; for the plot, and for the date at which it is full."""

    id = models.BigAutoField(primary_key=True)
    account = models.ForeignKey(StorageAccount, on_delete=models.CASCADE, related_name="samples")
    at = models.DateTimeField(db_default=Now())
    used_bytes = models.BigIntegerField("used", help_text="Bytes, as the account itself says.")
    reserved_bytes = models.BigIntegerField("reserved", help_text="Bytes of jobs in work.")
    free_bytes = models.BigIntegerField("free", null=True)
    files = models.BigIntegerField()

    class Meta:
        db_table = "capacity_sample"
        indexes = [models.Index(fields=["account", "at"], name="capacity_sample_time")]

    def __str__(self) -> str:
        return f"account {self.account_id} at {self.at:%Y-%m-%d %H:%M}"
