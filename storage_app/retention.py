"""Retention: videos that the operator's rules let go once they are old enough."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet, Sum
from django.utils.timezone import now

from storage_app.deletion import delete_videos
from storage_app.models import RetentionRule, StoredFile, VideoStore
from storage_app.upkeep.events import record

log = logging.getLogger(__name__)

BATCH = 100


@dataclass(frozen=True)
class Retained:
    """What a rule did, or would do: videos, and the bytes of one copy of each content they have."""

    rule: RetentionRule
    videos: int
    bytes: int


def matching(rule: RetentionRule) -> QuerySet[VideoStore]:
    """The videos that are older than the rule allows, whether it is enabled or not."""
    found = VideoStore.objects.filter(created_at__lt=now() - timedelta(days=rule.days))
    if rule.mal_id is not None:
        found = found.filter(mal_id=rule.mal_id)
    if rule.provider:
        found = found.filter(provider=rule.provider)
    return found


def apply(rule: RetentionRule, *, dry_run: bool = False) -> Retained:
    """Delete what the rule lets go, in batches of a transaction each; a rule that isn't enabled only says what it
    would do. What is archived anew meanwhile is younger, and stays."""
    files = StoredFile.objects.filter(videos__in=matching(rule)).distinct()
    size = files.aggregate(size=Sum("size"))["size"] or 0
    if dry_run or not rule.enabled:
        return Retained(rule, matching(rule).count(), size)
    deleted = 0
    while number := _delete_some(rule):
        deleted += number
    if deleted:
        record("retention", f"The rule “{rule.name}” deleted {deleted} videos older than {rule.days} days.")
    return Retained(rule, deleted, size)


def apply_all(*, dry_run: bool = False) -> list[Retained]:
    """Every enabled rule, in the order of their names; on a dry run also those that aren't. For the daily schedule."""
    rules = RetentionRule.objects.order_by("name")
    return [apply(rule, dry_run=dry_run) for rule in (rules if dry_run else rules.filter(enabled=True))]


def _delete_some(rule: RetentionRule) -> int:
    with transaction.atomic():
        # Another run of the rule may be at it: it does not wait for this one, nor this one for it.
        batch = matching(rule).order_by("created_at", "pk").select_for_update(skip_locked=True)[:BATCH]
        ids = [video.pk for video in batch]
        text = f"The retention rule “{rule.name}” keeps videos for {rule.days} days."
        return delete_videos(ids, actor=f"retention: {rule.name}"[:150], reason=text) if ids else 0
