"""What operators have laid down: where copies go, and how long videos are kept."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from storage_app.models.account import StorageAccount


class PlacementPolicy(models.Model):
    """How many copies a work's videos have, and where. The one without a work holds for all that have none."""

    id = models.BigAutoField(primary_key=True)
    mal_id = models.BigIntegerField("work", null=True, blank=True, help_text="Empty: for all works.")
    copies = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Copies wanted; empty: one on every account.",
    )
    minimum = models.PositiveSmallIntegerField(
        default=1,
        db_default=1,
        validators=[MinValueValidator(1)],
        help_text="Confirmed copies that a video needs to be ready.",
    )
    spread = models.BooleanField(
        default=True, db_default=True, help_text="Choose accounts of different kinds first, then the least used."
    )
    accounts = models.ManyToManyField(
        StorageAccount,
        blank=True,
        related_name="policies",
        db_table="placement_policy_accounts",
        help_text="Only these; none chosen: all.",
    )

    class Meta:
        db_table = "placement_policy"
        verbose_name_plural = "placement policies"
        constraints = [
            models.UniqueConstraint(fields=["mal_id"], name="placement_policy_one_default", nulls_distinct=False),
            models.CheckConstraint(condition=Q(copies__isnull=True) | Q(copies__gte=1), name="placement_policy_copies"),
            models.CheckConstraint(
                condition=Q(minimum__gte=1) & (Q(copies__isnull=True) | Q(minimum__lte=models.F("copies"))),
                name="placement_policy_minimum",
            ),
        ]

    def __str__(self) -> str:
        return f"work {self.mal_id}" if self.mal_id is not None else "all works"


class Reservation(models.Model):
    """Bytes of an account that a job in work is going to fill. It ends with the job's work."""

    id = models.BigAutoField(primary_key=True)
    job = models.UUIDField(help_text="The id in video_queue.")
    account = models.ForeignKey(StorageAccount, on_delete=models.CASCADE, related_name="reservations")
    size = models.BigIntegerField(help_text="Bytes.")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "storage_reservation"
        constraints = [models.UniqueConstraint(fields=["job", "account"], name="storage_reservation_once")]

    def __str__(self) -> str:
        return f"{self.size} bytes on account {self.account_id}"


class RetentionRule(models.Model):
    """Videos that are deleted once they are older than so many days, if the rule is enabled."""

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=100, unique=True)
    mal_id = models.BigIntegerField("work", null=True, blank=True, help_text="Empty: all works.")
    provider = models.CharField(max_length=20, blank=True, db_default="", help_text="Empty: all providers.")
    days = models.PositiveIntegerField(validators=[MinValueValidator(1)], help_text="Kept for so long once archived.")
    enabled = models.BooleanField(default=False, db_default=False)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "retention_rule"
        constraints = [models.CheckConstraint(condition=Q(days__gte=1), name="retention_rule_days")]

    def __str__(self) -> str:
        return self.name
