"""Works and their sources as they are sent and shown; the same checks for the API, manifest files and the admin."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from archive_site.address_lists import AddressChecks
from queue_app.api.serializers import (
    EpisodeField,
    ProviderField,
    ResolutionField,
    VideoUrlField,
    check_url_form,
)
from queue_app.fetching import fetch_policy
from queue_app.models import WorkSource
from queue_app.resolvers import asking
from queue_app.sources.registering import key_of
from storage_app import key_rules
from storage_app.playback.signing import MAX_URL

SOURCES_MAX = 5000
TITLE_LENGTH = 500
LABEL_LENGTH = 100
TWICE = "This URL stands here twice for the same video."


def _one_line(value: str) -> None:
    """For titles and labels, which are shown as they are."""
    if any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in value):
        raise ValidationError("Must not hold control characters or line breaks.")


class SourceUrlField(VideoUrlField):
    """`url`."""

    def to_internal_value(self, data: object) -> str:
        """A URL that can be signed, so that it can be played through this site."""
        if isinstance(data, str) and len(data) > MAX_URL:
            raise ValidationError(f"Must have 1 to {MAX_URL} characters.")
        return super().to_internal_value(data)


class SourceSerializer(serializers.Serializer[WorkSource]):
    """One place where an episode may be had. Fields that aren't named here are ignored."""

    episode = EpisodeField(min_value=0, max_value=key_rules.EPISODE_MAX)
    provider = ProviderField(
        max_length=key_rules.PROVIDER_LENGTH, trim_whitespace=False, help_text="The key under which it is listed."
    )
    label = serializers.CharField(  # type: ignore[assignment]
        required=False,
        allow_null=True,
        allow_blank=True,
        max_length=LABEL_LENGTH,
        validators=[_one_line],
        help_text="What viewers choose by; provider and resolution when it is left out.",
    )
    url = SourceUrlField(
        max_length=MAX_URL, trim_whitespace=False, help_text="http(s): a page, an HLS playlist or a file."
    )
    resolution = ResolutionField(
        required=False,
        allow_null=True,
        allow_blank=True,
        max_length=key_rules.RESOLUTION_LENGTH,
        trim_whitespace=False,
        help_text="480p, 720p, …; null or empty: as it comes.",
    )
    resolver = serializers.CharField(
        required=False, allow_null=True, allow_blank=True, help_text="The only resolver to ask; empty: each in turn."
    )
    enabled = serializers.BooleanField(required=False, default=True)

    def validate_resolver(self, name: str | None) -> str:
        """One that there is."""
        if name and name not in asking.names():
            raise ValidationError(f"There is no resolver of this name. There are {', '.join(asking.names())}.")
        return name or ""


class PublicSourceSerializer(serializers.ModelSerializer[WorkSource]):
    """A source as viewers see it."""

    class Meta:
        model = WorkSource
        fields = ("episode", "provider", "label", "url", "resolution")


class FullSourceSerializer(serializers.ModelSerializer[WorkSource]):
    """A source as it was sent."""

    class Meta:
        model = WorkSource
        fields = ("episode", "provider", "label", "url", "resolution", "resolver", "enabled")


class WorkRequestSerializer(serializers.Serializer[dict[str, Any]]):
    """A work with all its sources, in the order in which they are to be shown."""

    title = serializers.CharField(max_length=TITLE_LENGTH, validators=[_one_line])
    sources: serializers.ListSerializer[Any] = serializers.ListSerializer(
        child=SourceSerializer(), max_length=SOURCES_MAX
    )

    def validate_sources(self, sources: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Each once, and none at an address that may not be fetched."""
        errors = _errors_of(sources, self.context["addresses"])
        if errors:
            raise ValidationError(errors)
        return sources


class EpisodeSourceSerializer(SourceSerializer):
    """One place where the episode in the path may be had."""

    episode = EpisodeField(required=False, help_text="That of the path, if it is sent at all.")


class EpisodeRequestSerializer(WorkRequestSerializer):
    """The sources of one episode. `title` is needed where the work isn't registered yet."""

    title = serializers.CharField(required=False, max_length=TITLE_LENGTH, validators=[_one_line])
    sources = serializers.ListSerializer(child=EpisodeSourceSerializer(), max_length=SOURCES_MAX)

    def validate_sources(self, sources: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those of this episode."""
        episode = self.context["episode"]
        if any(source.get("episode", episode) != episode for source in sources):
            raise ValidationError(f"This address takes sources of episode {episode} only.")
        return super().validate_sources([{**source, "episode": episode} for source in sources])


class WorkSerializer(serializers.Serializer[dict[str, Any]]):
    """A work and its sources; with the token also those that are disabled, and each one's resolver."""

    success = serializers.BooleanField()
    mal_id = serializers.IntegerField()
    title = serializers.CharField()
    sources = FullSourceSerializer(many=True)


class ChangesSerializer(serializers.Serializer[dict[str, Any]]):
    """What became of the work's sources."""

    success = serializers.BooleanField()
    mal_id = serializers.IntegerField()
    created = serializers.BooleanField(help_text="Is the work new?")
    added = serializers.IntegerField()
    changed = serializers.IntegerField()
    removed = serializers.IntegerField()


class NothingSerializer(serializers.Serializer[dict[str, Any]]):
    """Why there is no answer."""

    success = serializers.BooleanField(default=False)
    error = serializers.CharField(help_text="A word for programs.")
    detail = serializers.CharField(help_text="A sentence for people.")


def checked(
    serializer: type[WorkRequestSerializer], data: object, addresses: AddressChecks | None = None, **context: Any
) -> dict[str, Any]:
    """Valid data. Raises ValidationError with sentences by field.

    Names are looked up once for all URLs; with the same `addresses`, once for work after work.
    """
    known = addresses or AddressChecks(fetch_policy())
    given = serializer(data=data, context={"check_url": check_url_form, "addresses": known, **context})
    given.is_valid(raise_exception=True)
    return dict(given.validated_data)


def _errors_of(sources: Sequence[Mapping[str, Any]], addresses: AddressChecks) -> dict[str, dict[str, list[str]]]:
    """What is wrong beside its form with which of them, by field."""
    refusals = addresses.refusals(source["url"] for source in sources)
    errors = {}
    seen = set()
    for place, source in enumerate(sources):
        if source["url"] in refusals:
            errors[str(place)] = {"url": [refusals[source["url"]]]}
        elif key_of(source) in seen:
            errors[str(place)] = {"url": [TWICE]}
        seen.add(key_of(source))
    return errors
