"""`/api/v1/anime/mal/{mal_id}`: a work's title and sources (CONTRACT §2.1), and registering them with the token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from archive_site.bearer import ApiToken, HasToken
from archive_site.json_body import read_object
from queue_app.api.open_answers import BAD_REQUEST, NOT_FOUND, OPEN, PREFLIGHT
from queue_app.api.serializers import RefusedSerializer
from queue_app.api.source_serializers import (
    ChangesSerializer,
    EpisodeRequestSerializer,
    FullSourceSerializer,
    NothingSerializer,
    PublicSourceSerializer,
    WorkRequestSerializer,
    WorkSerializer,
    checked,
)
from queue_app.models import Work
from queue_app.sources import registering
from storage_app import key_rules

READING = ("GET", "HEAD")
WORDS = {400: BAD_REQUEST, 401: "unauthorized", 405: "method_not_allowed", 503: "unavailable"}
REFUSALS = {400: RefusedSerializer, 401: RefusedSerializer, 413: RefusedSerializer, 503: RefusedSerializer}
IN_PATH = [OpenApiParameter("mal_id", OpenApiTypes.INT64, OpenApiParameter.PATH)]
EPISODE_IN_PATH = [*IN_PATH, OpenApiParameter("episode", OpenApiTypes.INT32, OpenApiParameter.PATH)]


class TokenIfSent(ApiToken):
    """Lets everybody in, but nobody with a wrong token."""

    def authenticate(self, request: Request) -> tuple[None, str] | None:  # type: ignore[override]
        """Raises AuthenticationFailed for a wrong one."""
        return super().authenticate(request) if "Authorization" in request.headers else None


class SourcesView(APIView):
    """Registering needs the token."""

    authentication_classes = [TokenIfSent]

    def get_permissions(self) -> list[Any]:
        """Reading is free."""
        return [] if self.request.method in {*READING, "OPTIONS"} else [HasToken()]

    @extend_schema(exclude=True)
    def options(self, request: HttpRequest, *args: object, **kwargs: object) -> Response:
        """The CORS preflight."""
        return Response(status=204, headers={**OPEN, **PREFLIGHT})

    def handle_exception(self, exc: Exception) -> Response:
        """Who reads is refused as by /api/v1/streaming; who registers, field by field."""
        answer = super().handle_exception(exc)
        if self.request.method in READING:
            word = WORDS.get(answer.status_code, "server_error")
            answer.data = {"success": False, "error": word, "detail": _sentences(answer.data)}
            for name, value in OPEN.items():
                answer[name] = value
        return answer


class WorkView(SourcesView):
    """One work."""

    @extend_schema(
        operation_id="work",
        summary="A work and its sources",
        description="With the token also those that are disabled, and each one's resolver: what PUT takes.",
        parameters=IN_PATH,
        responses={200: WorkSerializer, **dict.fromkeys((400, 401, 404, 503), NothingSerializer)},
        tags=["sources"],
    )
    def get(self, request: Request, mal_id: str) -> Response:
        """404 for a work that isn't registered."""
        number = _number("mal_id", key_rules.work_id, mal_id)
        work = Work.objects.filter(pk=number).first()
        if work is None:
            return _nothing("This work is not registered.", OPEN)
        if request.auth is None:
            sources: Any = PublicSourceSerializer(work.sources.filter(enabled=True), many=True).data
        else:
            sources = FullSourceSerializer(work.sources.all(), many=True).data
        body = {"success": True, "mal_id": number, "title": work.title, "sources": sources}
        return Response(body, headers=OPEN)

    @extend_schema(
        operation_id="work_put",
        summary="Register a work and its sources",
        description="Takes the place of all that was registered for it. The same again changes nothing. What is wrong "
        "is told field by field, and nothing is written then.",
        parameters=IN_PATH,
        request=WorkRequestSerializer,
        responses={200: ChangesSerializer, 201: ChangesSerializer, **REFUSALS},
        tags=["sources"],
    )
    def put(self, request: Request, mal_id: str) -> Response:
        """201 for a new work."""
        number = _number("mal_id", key_rules.work_id, mal_id)
        data = checked(WorkRequestSerializer, read_object(request))
        return _done(number, registering.put_sources(number, data["title"], data["sources"]))

    @extend_schema(
        operation_id="work_delete",
        summary="Forget a work and its sources",
        description="What is archived or enqueued stays.",
        parameters=IN_PATH,
        responses={204: None, 404: NothingSerializer, **REFUSALS},
        tags=["sources"],
    )
    def delete(self, _request: Request, mal_id: str) -> Response:
        """204; 404 when there is none."""
        if registering.delete_work(_number("mal_id", key_rules.work_id, mal_id)):
            return Response(status=204)
        return _nothing("This work is not registered.")


class EpisodeSourcesView(SourcesView):
    """One episode of a work."""

    @extend_schema(
        operation_id="episode_put",
        summary="Register the sources of one episode",
        description="Takes the place of what was registered for the episode; others stay as they are.",
        parameters=EPISODE_IN_PATH,
        request=EpisodeRequestSerializer,
        responses={200: ChangesSerializer, 201: ChangesSerializer, **REFUSALS},
        tags=["sources"],
    )
    def put(self, request: Request, mal_id: str, episode: str) -> Response:
        """201 for a new work."""
        number, which = _numbers(mal_id, episode)
        data = checked(EpisodeRequestSerializer, read_object(request), episode=which)
        try:
            changes = registering.put_sources(number, data.get("title"), data["sources"], episode=which)
        except Work.DoesNotExist:
            raise ValidationError({"title": ["This work is not registered yet: send its title."]}) from None
        return _done(number, changes)

    @extend_schema(
        operation_id="episode_delete",
        summary="Forget the sources of one episode",
        parameters=EPISODE_IN_PATH,
        responses={204: None, 404: NothingSerializer, **REFUSALS},
        tags=["sources"],
    )
    def delete(self, _request: Request, mal_id: str, episode: str) -> Response:
        """204; 404 when there are none."""
        if registering.delete_episode(*_numbers(mal_id, episode)):
            return Response(status=204)
        return _nothing("No sources are registered for this episode.")


def _numbers(mal_id: str, episode: str) -> tuple[int, int]:
    return _number("mal_id", key_rules.work_id, mal_id), _number("episode", key_rules.episode_number, episode)


def _number(name: str, rule: Callable[[object], int], value: str) -> int:
    try:
        return rule(value)
    except ValueError as wrong:
        raise ValidationError({name: [str(wrong)]}) from None


def _sentences(told: Any) -> str:
    if "detail" in told:
        return str(told["detail"])
    return " ".join(f"{name}: {sentence}" for name, sentences in told.items() for sentence in sentences)


def _done(mal_id: int, changes: registering.Changes) -> Response:
    body = {"success": True, "mal_id": mal_id, **vars(changes)}
    return Response(body, status=201 if changes.created else 200)


def _nothing(detail: str, headers: dict[str, str] | None = None) -> Response:
    return Response({"success": False, "error": NOT_FOUND, "detail": detail}, status=404, headers=headers)
