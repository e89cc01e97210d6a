"""Answers to requests that carried an Idempotency-Key."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class RememberedAnswer(models.Model):
    """What a request was answered, written in its own transaction, so that the same request again changes nothing."""

    id = models.BigAutoField(primary_key=True)
    scope = models.CharField(max_length=40, help_text="The token it came with, by its setting's name.")
    key = models.CharField(max_length=255, help_text="As the client chose it.")
    body_sha256 = models.CharField(max_length=64, help_text="Of the request's body.")
    status = models.PositiveSmallIntegerField()
    answer = models.TextField(help_text="JSON, as it was sent.")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "remembered_answer"
        constraints = [models.UniqueConstraint(fields=["scope", "key"], name="remembered_answer_key")]
        indexes = [models.Index(fields=["at"], name="remembered_answer_age")]

    def __str__(self) -> str:
        return f"{self.scope} {self.key}"
