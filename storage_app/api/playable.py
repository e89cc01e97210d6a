"""What there is to play under a video's natural key: its copies, its source, or a reason why there is nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from django.http import HttpResponse

from archive_site.database_threads import in_request_database
from storage_app.api.async_view import error
from storage_app.archived import ArchivedVideo, archived_video
from storage_app.deletion import tombstone_of
from storage_app.key_rules import filter_by, parse_key
from storage_app.models import VideoStore
from storage_app.naming import VideoKey
from storage_app.playback.copies import Copy
from storage_app.playback.source import PlayableSource, SourceOf
from storage_app.replicas import copies_of, in_order, look_after

QueueStatus = Callable[[VideoKey], str | None]

_VIDEO = re.compile(r"video/[A-Za-z0-9.+-]+")


@dataclass(frozen=True)
class Archived:
    """An archived video. `modified` in seconds since 1970; `failed` is to be told of copies that fail."""

    key: VideoKey
    sha256: str
    size: int
    content_type: str
    modified: int
    copies: list[Copy]
    failed: Callable[[Copy], object]


@dataclass(frozen=True)
class Nothing:
    """Why it can't be played, as arguments of `error`."""

    status: int
    word: str
    text: str
    headers: dict[str, str] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    cancelled: bool = True
    """May nobody play its source either?"""

    def answer(self) -> HttpResponse:
        """To be made anew for each request."""
        return error(self.status, self.word, self.text, self.headers, **self.more)


async def find(
    segments: tuple[str, str, str, str | None], queue_status: QueueStatus | None, source_of: SourceOf | None
) -> Archived | PlayableSource | Nothing:
    """By a URL's segments. No connection to the database is held when this returns: a viewer stays for hours."""
    key = parse_key(*segments)
    if key is None:
        return _not_archived(None, None)
    found = await in_request_database(lambda: _look_up(key, queue_status))
    if not isinstance(found, Nothing) or found.cancelled or source_of is None:
        return found
    source = await source_of(key)
    return source if source is not None and source.status != "cancelled" else found


def no_copy() -> Nothing:
    """It is archived, and none of its copies can be read."""
    text = "This video is archived, but no copy of it can be read now. An operator must look at it."
    return Nothing(503, "no_copy", text, {"Retry-After": "30"})


def _look_up(key: VideoKey, queue_status: QueueStatus | None) -> Archived | Nothing:
    if found := archived_video(key):
        return _playable(key, found)
    video = VideoStore.objects.select_related("stored_file").filter(**filter_by(key)).first()
    if video is None:
        return _not_archived(key, queue_status(key) if queue_status else None)
    return archived(key, video)


def archived(key: VideoKey, video: VideoStore) -> Archived | Nothing:
    """What `serve` needs of this video."""
    file = video.stored_file
    if file is None:  # another program wrote the row, by CONTRACT §1.1: its source can be played all the same
        return replace(no_copy(), cancelled=False)
    copies = copies_of(file, primary=video.hf_account)
    return Archived(
        key=key,
        sha256=file.sha256,
        size=file.size,
        content_type=_content_type(file.content_type),
        modified=int(video.created_at.timestamp()),
        copies=copies,
        failed=look_after(file.pk, copies),
    )


def _playable(key: VideoKey, video: ArchivedVideo) -> Archived:
    copies = in_order(video.file, video.replicas, video.primary)
    return Archived(
        key=key,
        sha256=video.file.sha256,
        size=video.size,
        content_type=_content_type(video.content_type),
        modified=int(video.created_at.timestamp()),
        copies=copies,
        failed=look_after(video.file.id, copies),
    )


def _content_type(stored: str) -> str:
    return stored if _VIDEO.fullmatch(stored) else "application/octet-stream"


def _not_archived(key: VideoKey | None, status: str | None) -> Nothing:
    if key and status in {None, "failed", "cancelled"} and (grave := tombstone_of(key)):
        text = "This video was deleted. Asking for it anew archives it again."
        more = {"deleted": True, "deleted_at": grave.deleted_at.isoformat(), "queued": False, "status": status}
        return Nothing(410, "deleted", text, more=more)
    if status is None:
        text = "This video is not archived, and nobody has asked for it."
    elif status in {"failed", "cancelled"}:
        text = f"This video is not archived: its job is {status}. An operator can requeue it."
    else:
        text = f"This video is not archived yet: its job is {status}."
    more = {"queued": status is not None, "status": status}
    return Nothing(404, "not_archived", text, more=more, cancelled=key is None or status == "cancelled")
