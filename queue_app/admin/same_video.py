"""Rows that are about the video of a source."""

from __future__ import annotations

from typing import Any

from django.db.models import OuterRef, QuerySet, Value
from django.db.models.functions import Coalesce


def same_video(model: type[Any], **more: Any) -> QuerySet[Any]:
    """Rows with the natural key of the WorkSource outside."""
    key = {"mal_id": OuterRef("work_id"), "episode": OuterRef("episode"), "provider": OuterRef("provider")}
    spelled = Coalesce(OuterRef("resolution"), Value(""))
    found: QuerySet[Any] = model.objects.alias(spelled=Coalesce("resolution", Value("")))
    return found.filter(spelled=spelled, **key, **more)
