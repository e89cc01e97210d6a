"""`/stream/…`: an archived video by its natural key (CONTRACT §2.2)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.cache import get_conditional_response
from django.utils.http import http_date
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from storage_app.deletion import tombstone_of
from storage_app.key_rules import filter_by, parse_key
from storage_app.models import StoredFile, VideoStore
from storage_app.naming import VideoKey
from storage_app.playback.copies import AsyncBody, Body, Copy, CopyReader, NoCopyLeft, any_present
from storage_app.playback.cors import CORS, HARMLESS
from storage_app.playback.ranges import ByteRange, Unsatisfiable, parse_range, range_applies
from storage_app.replicas import copies_of

QueueStatus = Callable[[VideoKey], str | None]

_VIDEO = re.compile(r"video/[A-Za-z0-9.+-]+")
# Short, because a video that is archived again keeps its URL.
CACHE_CONTROL = "public, max-age=300"


def _path_parameter(name: str, kind: OpenApiTypes) -> OpenApiParameter:
    return OpenApiParameter(name, kind, OpenApiParameter.PATH)


class StreamView(APIView):
    """Serves the best copy of an archived video, whole or one range of it."""

    queue_status: QueueStatus | None = None  # given in urls.py: storage_app knows nothing of the queue

    @extend_schema(
        operation_id="stream",
        summary="Play an archived video",
        description="One `Range` is answered with 206; several are answered with the whole file.",
        auth=[],
        tags=["playback"],
        parameters=[
            _path_parameter("mal_id", OpenApiTypes.INT64),
            _path_parameter("episode", OpenApiTypes.INT32),
            _path_parameter("provider", OpenApiTypes.STR),
        ],
        responses={
            (200, "video/mp4"): bytes,
            (206, "video/mp4"): bytes,
            304: None,
            404: dict,
            410: dict,
            416: dict,
            503: dict,
        },
    )
    def get(
        self, request: Request, mal_id: str, episode: str, provider: str, resolution: str | None = None
    ) -> HttpResponseBase:
        """GET and, through Django, HEAD."""
        key = parse_key(mal_id, episode, provider, resolution)
        video = _find(key) if key else None
        if key is None or video is None:
            return self._not_archived(key)
        if video.stored_file is None:
            return _no_copy()
        copies = copies_of(video.stored_file, primary=video.hf_account)
        # A viewer stays for hours; the database's connection must not wait for the end of the response.
        if not connection.in_atomic_block:
            connection.close()
        return _serve(request._request, video, video.stored_file, copies)

    def head(
        self, request: Request, mal_id: str, episode: str, provider: str, resolution: str | None = None
    ) -> HttpResponseBase:
        """The headers of GET."""
        return self.get(request, mal_id, episode, provider, resolution)

    @extend_schema(exclude=True)
    def options(self, request: HttpRequest, *args: object, **kwargs: object) -> Response:
        """The CORS preflight; it needs no database."""
        return Response(status=204, headers={"Access-Control-Max-Age": "86400", "Allow": "GET, HEAD, OPTIONS"})

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Response:
        """Every answer, errors included, may be read from any site."""
        final = super().finalize_response(request, response, *args, **kwargs)
        for name, value in CORS.items():
            final[name] = value
        return final

    def _not_archived(self, key: VideoKey | None) -> Response:
        status = self.queue_status(key) if key and self.queue_status else None
        if key and status in {None, "failed", "cancelled"} and (grave := tombstone_of(key)):
            gone = {"detail": "This video was deleted. Asking for it anew archives it again.", "deleted": True}
            return Response({**gone, "deleted_at": grave.deleted_at, "queued": False, "status": status}, status=410)
        if status is None:
            text = "This video is not archived, and nobody has asked for it."
        elif status in {"failed", "cancelled"}:
            text = f"This video is not archived: its job is {status}. An operator can requeue it."
        else:
            text = f"This video is not archived yet: its job is {status}."
        return Response({"detail": text, "queued": status is not None, "status": status}, status=404)


@extend_schema_view(
    get=extend_schema(operation_id="stream_as_it_comes", summary="Play a video archived without a resolution")
)
class StreamAsItComesView(StreamView):
    """The same for the URL without a resolution."""


def _find(key: VideoKey) -> VideoStore | None:
    return VideoStore.objects.select_related("stored_file").filter(**filter_by(key)).first()


def _serve(request: HttpRequest, video: VideoStore, file: StoredFile, copies: list[Copy]) -> HttpResponseBase:
    modified = int(video.created_at.timestamp())
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": f'"{file.sha256}"',
        "Last-Modified": http_date(modified),
        "Cache-Control": CACHE_CONTROL,
        "Content-Type": file.content_type if _VIDEO.fullmatch(file.content_type) else "application/octet-stream",
        **HARMLESS,
    }
    early = get_conditional_response(request, headers["ETag"], modified, HttpResponse(headers=headers))
    if early is not None and early.status_code != 200:
        return early
    try:
        part = _wanted(request, headers, file.size)
    except Unsatisfiable:
        return Response(
            {"detail": f"The range lies outside the file, which has {file.size} bytes."},
            status=416,
            headers={"Content-Range": f"bytes */{file.size}", "Accept-Ranges": "bytes"},
        )
    if part is not None:
        headers["Content-Range"] = part.content_range(file.size)
    wanted = part or ByteRange(0, file.size)
    headers["Content-Length"] = str(wanted.length)
    return _answer(request, copies, file.size, wanted, 206 if part else 200, headers)


def _answer(
    request: HttpRequest,
    copies: list[Copy],
    size: int,
    wanted: ByteRange,
    status: int,
    headers: dict[str, str],
) -> HttpResponseBase:
    if request.method == "HEAD":
        return HttpResponse(status=status, headers=headers) if any_present(copies, size) else _no_copy()
    try:
        reader = CopyReader(copies, size, wanted)
    except NoCopyLeft:
        return _no_copy()
    body = AsyncBody(reader) if isinstance(request, ASGIRequest) else Body(reader)
    return StreamingHttpResponse(body, status=status, headers=headers)


def _wanted(request: HttpRequest, headers: dict[str, str], size: int) -> ByteRange | None:
    """The range to send; None for the whole file. Range is defined for GET alone (RFC 9110 §14.2)."""
    asked = request.headers.get("Range", "")
    if request.method != "GET" or not asked:
        return None
    if not range_applies(request.headers.get("If-Range", ""), headers["ETag"], headers["Last-Modified"]):
        return None
    return parse_range(asked, size)


def _no_copy() -> Response:
    return Response(
        {"detail": "This video is archived, but no copy of it can be read now. An operator must look at it."},
        status=503,
        headers={"Retry-After": "30"},
    )
