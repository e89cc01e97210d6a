"""How far the upkeep has come, so that a restart doesn't make it begin again."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from storage_app.models.account import StorageAccount


class UpkeepMark(models.Model):
    """Where a round of the upkeep stands, by the round's name."""

    name = models.CharField(max_length=40, primary_key=True)
    value = models.JSONField(default=dict)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "upkeep_mark"

    def __str__(self) -> str:
        return self.name


class ScrubDay(models.Model):
    """Bytes of an account that were read back on a day (UTC). What a day's budget can't hold is charged to the next."""

    id = models.BigAutoField(primary_key=True)
    account = models.ForeignKey(StorageAccount, on_delete=models.CASCADE, related_name="scrub_days")
    day = models.DateField()
    size = models.BigIntegerField(help_text="Bytes.")

    class Meta:
        db_table = "scrub_day"
        constraints = [models.UniqueConstraint(fields=["account", "day"], name="scrub_day_once")]

    def __str__(self) -> str:
        return f"account {self.account_id} on {self.day}"
