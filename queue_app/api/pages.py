"""Pages of jobs that cost the same wherever they begin: each starts at the last row of the one before."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet
from django.db.models.fields.tuple_lookups import TupleLessThan
from rest_framework.exceptions import ValidationError

from queue_app.models import VideoQueue
from queue_app.states import VideoStatus

LIMIT, LIMIT_MAX = 50, 200


def page_of_jobs(query: dict[str, str]) -> tuple[list[VideoQueue], str | None]:
    """The jobs that the query string asks for, and the next page's `after`. Raises ValidationError."""
    status, limit = _status(query.get("status", "")), _limit(query.get("limit", ""))
    # Of one status: the last to come to it first. Of all: the newest first, which no change of theirs reorders.
    moment = "updated_at" if status else "created_at"
    jobs = VideoQueue.objects.filter(status=status) if status else VideoQueue.objects.all()
    if query.get("after"):
        jobs = _behind(jobs, moment, _position(query["after"]))
    found = list(jobs.order_by(f"-{moment}", "-id").defer("artifact")[: limit + 1])
    if len(found) <= limit:
        return found, None
    last = found[limit - 1]
    return found[:limit], _cursor(getattr(last, moment), last.pk)


def _behind(jobs: QuerySet[VideoQueue], moment: str, position: tuple[datetime, UUID]) -> QuerySet[VideoQueue]:
    # A comparison of rows, which PostgreSQL looks up in the index; "less, or equal and less" it would filter.
    return jobs.filter(TupleLessThan((F(moment), F("id")), position))


def _status(value: str) -> str:
    if value and value not in VideoStatus.values:
        raise ValidationError({"status": [f"Must be one of {', '.join(VideoStatus.values)}."]})
    return value


def _limit(value: str) -> int:
    if not value:
        return LIMIT
    if not (value.isascii() and value.isdigit() and len(value) < 5 and 1 <= int(value) <= LIMIT_MAX):
        raise ValidationError({"limit": [f"Must be from 1 to {LIMIT_MAX}."]})
    return int(value)


def _cursor(moment: datetime, job_id: Any) -> str:
    return base64.urlsafe_b64encode(f"{moment.isoformat()} {job_id}".encode()).decode().rstrip("=")


def _position(cursor: str) -> tuple[datetime, UUID]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        moment, _, job_id = text.partition(" ")
        return datetime.fromisoformat(moment).astimezone(UTC), UUID(job_id)
    except (ValueError, OverflowError, binascii.Error):
        raise ValidationError({"after": ["Send what the page before gave as next, or nothing."]}) from None
