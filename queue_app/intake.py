"""Lists of videos: each is looked at by itself, and what is in order is enqueued together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rest_framework.exceptions import ValidationError

from archive_site.address_lists import AddressChecks
from queue_app import queue
from queue_app.api.serializers import VideoRequestSerializer, check_url_form, key_in
from queue_app.fetching import fetch_policy
from queue_app.queue import Enqueued
from storage_app.naming import VideoKey


@dataclass(frozen=True)
class Refused:
    """Why an item isn't taken: sentences by field."""

    errors: dict[str, list[str]]


@dataclass(frozen=True)
class Taken:
    """An item that was enqueued (or would be), and what became of it."""

    key: VideoKey
    result: Enqueued


class Intake:
    """Reads what /trigger takes, many at a time. One of these may be used for list after list."""

    def __init__(self, serializer: type[VideoRequestSerializer] = VideoRequestSerializer) -> None:
        self._serializer = serializer(context={"check_url": check_url_form})
        self._addresses = AddressChecks(fetch_policy())

    def check(self, items: Sequence[object]) -> list[dict[str, Any] | Refused]:
        """Each item's valid data, or why it is refused. Looks names up; writes nothing."""
        checked = [self._check(item) for item in items]
        urls = {url for data in checked if not isinstance(data, Refused) for _, url in _urls_in(data)}
        refusals = self._addresses.refusals(urls)
        return [data if isinstance(data, Refused) else _refused_by_address(data, refusals) or data for data in checked]

    def _check(self, item: object) -> dict[str, Any] | Refused:
        if not isinstance(item, Mapping):
            return Refused({"item": ["Must be a JSON object."]})
        try:
            data: dict[str, Any] = self._serializer.run_validation(dict(item))
        except ValidationError as refusal:
            return Refused({field: [str(s) for s in sentences] for field, sentences in _by_field(refusal).items()})
        return data


def enqueue(checked: Sequence[dict[str, Any] | Refused], *, dry_run: bool = False) -> list[Taken | Refused]:
    """Enqueues what is in order, all or none; the answer for each item in its place."""
    taken = [data for data in checked if not isinstance(data, Refused)]
    results = iter(queue.enqueue_videos(taken, dry_run=dry_run) if taken else ())
    return [data if isinstance(data, Refused) else Taken(key_in(data), next(results)) for data in checked]


def _urls_in(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each URL of valid data with its field."""
    yield "video_url", data["video_url"]
    if "page_url" in data:
        yield "page_url", data["page_url"]
    for url in data.get("mirrors", ()):
        yield "mirrors", url


def _refused_by_address(data: Mapping[str, Any], refusals: Mapping[str, str]) -> Refused | None:
    errors: dict[str, list[str]] = {}
    for field, url in _urls_in(data):
        if url in refusals:
            errors.setdefault(field, []).append(refusals[url])
    return Refused(errors) if errors else None


def _by_field(refusal: ValidationError) -> dict[str, list[Any]]:
    detail: Any = refusal.detail
    return detail if isinstance(detail, dict) else {"item": list(detail)}
