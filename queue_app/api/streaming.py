"""`GET /api/v1/streaming/{mal_id}/{episode}`: all ways to see an episode (CONTRACT §2.1)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.views import APIView

from archive_site.async_direct import without_middleware
from archive_site.database_threads import in_database
from queue_app.api.open_answers import BAD_REQUEST, NOT_FOUND, answer, preflight, refusal
from queue_app.api.source_serializers import NothingSerializer
from queue_app.models import Work
from queue_app.sources.offers import Offer, find_offers
from queue_app.sources.registering import default_label
from queue_app.sources.resolving import resolved
from queue_app.sources.wanted import Wanted
from storage_app import key_rules
from storage_app.playback.urls import playback_base, signer, stream_url

logger = logging.getLogger(__name__)


class WaySerializer(serializers.Serializer[dict[str, Any]]):
    """One way to see the episode."""

    provider = serializers.CharField(help_text="What viewers choose by.")
    url = serializers.CharField(help_text="As it is registered.")
    url_resolved = serializers.CharField(allow_null=True, help_text="What a player can open; null: nothing, for now.")
    resolution = serializers.CharField(allow_null=True)
    stream = serializers.CharField(allow_null=True, help_text="The same through this site, for browsers.")
    archived = serializers.BooleanField()


class StreamingSerializer(serializers.Serializer[dict[str, Any]]):
    """The ways to see an episode, by provider."""

    success = serializers.BooleanField()
    mal_id = serializers.IntegerField()
    episode = serializers.IntegerField()
    data = serializers.DictField(child=WaySerializer(many=True))  # type: ignore[assignment]


class StreamingView(APIView):
    """Answers on the event loop: no request waits behind another one's source."""

    @classmethod
    def as_view(cls, **_initkwargs: Any) -> Any:
        """The view as a coroutine; for the rest of the world it is this class."""

        @without_middleware
        async def view(request: HttpRequest, mal_id: str, episode: str) -> HttpResponse:
            if request.method == "OPTIONS":
                return preflight()
            if request.method not in {"GET", "HEAD"}:
                return refusal(405, "method_not_allowed", "Send GET.", Allow="GET, HEAD, OPTIONS")
            return await cls().get(request, mal_id, episode)

        view.cls, view.initkwargs, view.csrf_exempt = cls, {}, True  # type: ignore[attr-defined]
        return view

    @extend_schema(
        operation_id="streaming",
        summary="All ways to see an episode",
        description="What is archived leads to the archive. Of the rest, each source is resolved (for 20 minutes), and "
        "enqueued if it never was.",
        auth=[],
        tags=["playback"],
        parameters=[
            OpenApiParameter("mal_id", OpenApiTypes.INT64, OpenApiParameter.PATH),
            OpenApiParameter("episode", OpenApiTypes.INT32, OpenApiParameter.PATH),
        ],
        responses={200: StreamingSerializer, 400: NothingSerializer, 404: NothingSerializer, 503: NothingSerializer},
    )
    async def get(self, _request: HttpRequest, mal_id: str, episode: str) -> HttpResponse:
        """400 for what is no number, 404 where nothing is registered or archived."""
        try:
            work, number = key_rules.work_id(mal_id), key_rules.episode_number(episode)
        except ValueError as wrong:
            return refusal(400, BAD_REQUEST, f"The work and the episode are numbers, in this order. {wrong}")
        try:
            offers = await in_database(lambda: find_offers(work, number))
            if not offers:
                return await _nothing(work, number)
            urls = await resolved({offer.wanted: offer.known for offer in offers if not offer.archived})
        except (OperationalError, InterfaceError) as error:
            logger.error("The database can't be used: %s", error)  # noqa: TRY400 - its text says it all
            detail = "The database can't be reached. Try again in a moment."
            return refusal(503, "unavailable", detail, **{"Retry-After": "5"})
        return answer({"success": True, "mal_id": work, "episode": number, "data": _data(offers, urls)})


async def _nothing(work: int, episode: int) -> HttpResponse:
    if await in_database(lambda: Work.objects.filter(pk=work).exists()):
        return refusal(404, NOT_FOUND, f"Nothing is registered or archived of episode {episode} of this work.")
    return refusal(404, NOT_FOUND, "This work is not registered, and nothing of this episode is archived.")


def _data(offers: Sequence[Offer], urls: Mapping[Wanted, str | None]) -> dict[str, list[dict[str, Any]]]:
    base, links = playback_base(), signer()
    data: dict[str, list[dict[str, Any]]] = {}
    for offer in offers:
        if offer.archived:
            direct = through = stream_url(offer.key)
        else:
            direct = urls[offer.wanted]  # type: ignore[assignment]
            through = f"{base}/proxy?{links.exact(direct)}" if direct else None  # type: ignore[assignment]
        way = {
            "provider": offer.label or default_label(offer.key.provider, offer.key.resolution),
            "url": offer.wanted.url or direct,
            "url_resolved": direct,
            "resolution": offer.key.resolution,
            "stream": through,
            "archived": offer.archived,
        }
        data.setdefault(offer.key.provider, []).append(way)
    return data
