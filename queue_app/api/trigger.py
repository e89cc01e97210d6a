"""`POST /trigger`: a video's URL goes in, a job's id comes out (CONTRACT §2.1). Or a list of them, each answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import OpenApiParameter, PolymorphicProxySerializer, extend_schema
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from archive_site.bearer import HasToken, TriggerToken
from archive_site.json_body import parse_json, read_body
from queue_app.api.serializers import (
    RefusedSerializer,
    TriggeredListSerializer,
    VideoJobSerializer,
    VideoRequestSerializer,
)
from queue_app.idempotency import HEADER, Answer, Attempt, KeyReused, read_key
from queue_app.intake import Intake, Refused, Taken, enqueue
from queue_app.models import VideoQueue
from queue_app.queue import enqueue_video

LIST_MAX = 1000
REPLAYED = {"Idempotency-Replayed": "true"}

Work = Callable[[], Answer]


class TriggerView(APIView):
    """Takes videos into the queue. Once the answer is 202, the jobs are committed."""

    authentication_classes = [TriggerToken]
    permission_classes = [HasToken]

    @extend_schema(
        summary="Archive a video, or a list of them",
        description=f"The same video again gives the same job. The body is read as JSON in any Content-Type.\n\nA list "
        f"has 1 to {LIST_MAX} items; each is taken or refused by itself, and answered in its place.",
        parameters=[
            OpenApiParameter(
                HEADER,
                str,
                OpenApiParameter.HEADER,
                description="1 to 255 visible ASCII characters. The same key and body within 24 hours get the same "
                "answer again, with `Idempotency-Replayed: true`; with another body 422. A request that was refused "
                "as a whole may be corrected and sent with its key.",
            ),
        ],
        request=PolymorphicProxySerializer(
            "VideoOrList",
            [VideoRequestSerializer, VideoRequestSerializer(many=True)],
            resource_type_field_name=None,
            many=False,
        ),
        responses={
            202: PolymorphicProxySerializer(
                "Triggered", [VideoJobSerializer, TriggeredListSerializer], resource_type_field_name=None
            ),
            400: RefusedSerializer,
            401: RefusedSerializer,
            413: RefusedSerializer,
            422: RefusedSerializer,
            503: RefusedSerializer,
        },
        tags=["queue"],
    )
    def post(self, request: Request) -> Response:
        """202 with the job or the list of them."""
        body = read_body(request)
        attempt = _attempt(request, body)
        try:
            return _answer(attempt, body)
        except KeyReused:
            sentence = f"This {HEADER} came before with another body. Send a new key with a new request."
            return Response({HEADER: [sentence]}, status=422)


def _answer(attempt: Attempt | None, body: bytes) -> Response:
    if attempt is None:
        status, data = _prepare(body)()
        return Response(data, status=status)
    before = attempt.remembered()
    if before is not None:
        return Response(before[1], status=before[0], headers=REPLAYED)
    # Prepared first: names are looked up, and nobody should wait for that behind a lock.
    work = _prepare(body)
    (status, data), replayed = attempt.once(work)
    return Response(data, status=status, headers=REPLAYED if replayed else None)


def _attempt(request: Request, body: bytes) -> Attempt | None:
    header = request.headers.get(HEADER)
    if header is None:
        return None
    try:
        return read_key(header, str(request.auth), body)
    except ValueError as refusal:
        raise ValidationError({HEADER: [str(refusal)]}) from None


def _prepare(body: bytes) -> Work:
    """Checks the body; what is returned writes. Raises what is answered with 400."""
    value = parse_json(body)
    if isinstance(value, dict):
        return _prepare_one(value)
    if isinstance(value, list):
        return _prepare_list(value)
    raise ParseError('The body must be a JSON object, like {"mal_id": 1, …}, or a list of them.')


def _prepare_one(value: dict[str, Any]) -> Work:
    video = VideoRequestSerializer(data=value)
    video.is_valid(raise_exception=True)

    def work() -> Answer:
        data = video.validated_data
        job = enqueue_video(video.key, data["video_url"], data.get("page_url", ""), data.get("mirrors", ()))
        return 202, dict(VideoJobSerializer(job).data)

    return work


def _prepare_list(items: list[Any]) -> Work:
    if not 1 <= len(items) <= LIST_MAX:
        raise ParseError(f"The body is a list of {len(items)} videos; send 1 to {LIST_MAX} at a time.")
    checked = Intake().check(items)

    def work() -> Answer:
        results = enqueue(checked)
        refused = sum(isinstance(result, Refused) for result in results)
        answers = [_item(result) for result in results]
        return 202, {"items": answers, "accepted": len(results) - refused, "refused": refused}

    return work


def _item(result: Taken | Refused) -> dict[str, Any]:
    if isinstance(result, Refused):
        return {"errors": result.errors}
    key = result.key
    job = VideoQueue(
        pk=result.result.job_id, status=result.result.status, mal_id=key.mal_id, episode=key.episode,
        provider=key.provider, resolution=key.resolution,
    )  # fmt: skip
    return dict(VideoJobSerializer(job).data)
