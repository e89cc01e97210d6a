"""What may be asked of the queue and what it answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from rest_framework import serializers

from archive_site.safe_http import AddressRefused, check_url, resolve_and_check
from queue_app.artifact import key_of
from queue_app.fetching import fetch_policy
from queue_app.models import VideoQueue
from queue_app.states import VideoStatus
from storage_app import key_rules
from storage_app.naming import VideoKey
from storage_app.playback.urls import stream_url

T = TypeVar("T")

URL_LENGTH = 8192
PRIORITY_MIN, PRIORITY_MAX = -(2**15), 2**15 - 1
MIRRORS_MAX = 8


def check_url_form(value: object) -> str:
    """`value` if it is spelled like a URL that may be fetched, else ValueError. Looks nothing up."""
    if not isinstance(value, str):
        raise ValueError("Must be a string.")  # noqa: TRY004 (one exception for every refusal)
    if not 1 <= len(value) <= URL_LENGTH:
        raise ValueError(f"Must have 1 to {URL_LENGTH} characters.")
    try:
        check_url(value, fetch_policy())
    except AddressRefused as refusal:
        raise ValueError(str(refusal)) from None
    return value


def check_video_url(value: object) -> str:
    """`check_url_form`, and the host's name is looked up; an unknown name passes."""
    url = check_url_form(value)
    try:
        resolve_and_check(url, fetch_policy())
    except AddressRefused as refusal:
        raise ValueError(str(refusal)) from None
    return url


class WorkIdField(serializers.IntegerField):
    """`mal_id`."""

    def to_internal_value(self, data: object) -> int:
        """An integer or its digits; no booleans, no floats."""
        return _apply(key_rules.work_id, data)


class EpisodeField(serializers.IntegerField):
    """`episode`."""

    def to_internal_value(self, data: object) -> int:
        """An integer or its digits; no booleans, no floats."""
        return _apply(key_rules.episode_number, data)


class ProviderField(serializers.CharField):
    """`provider`."""

    def to_internal_value(self, data: object) -> str:
        """One path segment."""
        return _apply(key_rules.provider_name, data)


class ResolutionField(serializers.CharField):
    """`resolution`."""

    def to_internal_value(self, data: object) -> str:
        """One word."""
        return _apply(key_rules.resolution_name, data) or ""


class VideoUrlField(serializers.CharField):
    """`video_url`."""

    def to_internal_value(self, data: object) -> str:
        """A public http(s) URL; whoever checks many at once looks their hosts up by another way."""
        rule: Callable[[object], str] = self.context.get("check_url", check_video_url)
        return _apply(rule, data)


class MirrorsField(serializers.ListField):
    """`mirrors`."""

    child = VideoUrlField(max_length=URL_LENGTH, trim_whitespace=False)

    def to_internal_value(self, data: Any) -> list[str]:
        """A list of URLs; in a file, one string with white space between them."""
        urls: list[str] = super().to_internal_value(data.split() if isinstance(data, str) else data)
        return list(dict.fromkeys(urls))


class VideoRequestSerializer(serializers.Serializer[dict[str, Any]]):
    """A video to archive. Fields that aren't named here are ignored."""

    mal_id = WorkIdField(
        min_value=0, max_value=key_rules.WORK_MAX, help_text="Id of the work; digits in a string also do."
    )
    episode = EpisodeField(min_value=0, max_value=key_rules.EPISODE_MAX)
    provider = ProviderField(max_length=key_rules.PROVIDER_LENGTH, trim_whitespace=False)
    resolution = ResolutionField(
        required=False,
        allow_null=True,
        allow_blank=True,
        max_length=key_rules.RESOLUTION_LENGTH,
        trim_whitespace=False,
        help_text="480p, 720p, …; null or empty: as it comes.",
    )
    video_url = VideoUrlField(
        max_length=URL_LENGTH, trim_whitespace=False, help_text="http(s); direct MP4/MKV, an HLS playlist, or a page."
    )
    page_url = VideoUrlField(
        required=False,
        allow_null=True,
        allow_blank=True,
        max_length=URL_LENGTH,
        trim_whitespace=False,
        help_text="The page that video_url was found on: asked for a new one when that expires.",
    )
    mirrors = MirrorsField(
        required=False, allow_null=True, max_length=MIRRORS_MAX, help_text="Further URLs of the very same file."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Nothing given is the same as left out."""
        for name in ("page_url", "mirrors"):
            if not attrs.get(name):
                attrs.pop(name, None)
        return attrs

    @property
    def key(self) -> VideoKey:
        """The natural key of valid data."""
        return key_in(self.validated_data)


class PriorityField(serializers.IntegerField):
    """`priority`."""

    def to_internal_value(self, data: object) -> int:
        """An integer or its digits; no booleans, no floats."""
        return _apply(priority_number, data)


def priority_number(value: object) -> int:
    """A priority, or ValueError with a sentence for the sender."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,6}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("Must be an integer.")  # noqa: TRY004 (one exception for every refusal)
    if not PRIORITY_MIN <= value <= PRIORITY_MAX:
        raise ValueError(f"Must be from {PRIORITY_MIN} to {PRIORITY_MAX}.")
    return value


class VideoJobSerializer(serializers.Serializer[VideoQueue]):
    """A job as clients see it."""

    id = serializers.UUIDField()
    status = serializers.ChoiceField(VideoStatus.choices)
    mal_id = serializers.IntegerField()
    episode = serializers.IntegerField()
    provider = serializers.CharField()
    resolution = serializers.CharField(allow_null=True)
    stream_url = serializers.SerializerMethodField()

    def get_stream_url(self, job: VideoQueue) -> str:
        """Where it can be played once it is ready."""
        return stream_url(key_of(job))


class ListItemSerializer(serializers.Serializer[dict[str, Any]]):
    """The answer to one item of a list: the job, or `errors` alone."""

    id = serializers.UUIDField(required=False)
    status = serializers.ChoiceField(VideoStatus.choices, required=False)
    mal_id = serializers.IntegerField(required=False)
    episode = serializers.IntegerField(required=False)
    provider = serializers.CharField(required=False)
    resolution = serializers.CharField(required=False, allow_null=True)
    stream_url = serializers.CharField(required=False)
    errors = serializers.DictField(  # type: ignore[assignment]
        child=serializers.ListField(child=serializers.CharField()), required=False, help_text="Sentences by field."
    )


class TriggeredListSerializer(serializers.Serializer[dict[str, Any]]):
    """The answer to a list."""

    items = ListItemSerializer(many=True)
    accepted = serializers.IntegerField()
    refused = serializers.IntegerField()


class QueueCountsSerializer(serializers.Serializer[dict[str, int]]):
    """Jobs by status."""

    pending = serializers.IntegerField()
    downloading = serializers.IntegerField()
    uploading = serializers.IntegerField()
    ready = serializers.IntegerField()
    failed = serializers.IntegerField()
    cancelled = serializers.IntegerField()


class StatusSerializer(serializers.Serializer[dict[str, Any]]):
    """The answer of /status."""

    queue = QueueCountsSerializer()
    archived = serializers.IntegerField()


class RefusedSerializer(serializers.Serializer[dict[str, Any]]):
    """Why a request was refused; with 400, each faulty field has a list of sentences instead."""

    detail = serializers.CharField(required=False)


def key_in(data: Mapping[str, Any]) -> VideoKey:
    """The natural key in valid data."""
    return VideoKey(data["mal_id"], data["episode"], data["provider"], data.get("resolution") or None)


def _apply(rule: Callable[[object], T], data: object) -> T:
    try:
        return rule(data)
    except ValueError as refusal:
        raise serializers.ValidationError(str(refusal)) from None
