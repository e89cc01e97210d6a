"""`/stream/…`: a video by its natural key (CONTRACT §2.2), before, during and after archiving."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import http_date
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view

from archive_site.pieces import PiecesResponse
from storage_app.api.async_view import AsyncView, error
from storage_app.api.elsewhere import by_nginx, redirected
from storage_app.api.playable import Archived, Nothing, QueueStatus, find, no_copy
from storage_app.playback.copies import NoCopyLeft, find_present
from storage_app.playback.cors import CORS, HARMLESS, preflight
from storage_app.playback.failover import CopyReader
from storage_app.playback.ranges import ByteRange, Unsatisfiable, parse_range, range_applies
from storage_app.playback.source import SourceOf
from storage_app.playback.upstream import proxied
from storage_app.playback.urls import signer

__all__ = ["CORS", "StreamAsItComesView", "StreamView"]

# Short, because a video that is archived again keeps its URL.
CACHE_CONTROL = "public, max-age=300"
_CONDITIONS = ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_IF_UNMODIFIED_SINCE")


def _path_parameter(name: str, kind: OpenApiTypes) -> OpenApiParameter:
    return OpenApiParameter(name, kind, OpenApiParameter.PATH)


KEY_PARAMETERS = [
    _path_parameter("mal_id", OpenApiTypes.INT64),
    _path_parameter("episode", OpenApiTypes.INT32),
    _path_parameter("provider", OpenApiTypes.STR),
]


class StreamView(AsyncView):
    """Serves the best copy of an archived video, whole or one range of it; until it is archived, its source."""

    # Given in urls.py: storage_app knows nothing of the queue.
    queue_status: QueueStatus | None = None
    source_of: SourceOf | None = None
    extra_headers = CORS

    @extend_schema(
        operation_id="stream",
        summary="Play a video",
        description="From its archived copies, or from its source while it is not archived yet. One `Range` is "
        "answered with 206; several are answered with the whole file. With `S3_PLAYBACK=redirect` a copy in a bucket "
        "is answered with 302.",
        auth=[],
        tags=["playback"],
        parameters=KEY_PARAMETERS,
        responses={
            (200, "video/mp4"): bytes,
            (206, "video/mp4"): bytes,
            302: None,
            304: None,
            404: dict,
            410: dict,
            416: dict,
            502: dict,
            503: dict,
            504: dict,
        },
    )
    async def get(
        self, request: HttpRequest, mal_id: str, episode: str, provider: str, resolution: str | None = None
    ) -> HttpResponseBase:
        """GET and HEAD."""
        found = await find((mal_id, episode, provider, resolution), self.queue_status, self.source_of)
        if isinstance(found, Archived):
            return await serve(request, found)
        if isinstance(found, Nothing):
            return found.answer()
        # Some sources refuse HEAD alone.
        instead = found.instead if request.method == "GET" else None
        return await proxied(request, found.url, signer(), lasting=False, instead=instead)

    async def head(
        self, request: HttpRequest, mal_id: str, episode: str, provider: str, resolution: str | None = None
    ) -> HttpResponseBase:
        """The headers of GET."""
        return await self.get(request, mal_id, episode, provider, resolution)

    @extend_schema(exclude=True)
    async def options(  # type: ignore[override]
        self, request: HttpRequest, *args: object, **kwargs: object
    ) -> HttpResponseBase:
        """The CORS preflight; it needs no database."""
        return preflight()


@extend_schema_view(
    get=extend_schema(operation_id="stream_as_it_comes", summary="Play a video that has no resolution in its key")
)
class StreamAsItComesView(StreamView):
    """The same for the URL without a resolution."""


async def serve(request: HttpRequest, video: Archived, *, attachment: str = "") -> HttpResponseBase:
    """The bytes of an archived video, or a range of them; `attachment` is a Content-Disposition, and they are ours."""
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": f'"{video.sha256}"',
        "Last-Modified": http_date(video.modified),
        "Cache-Control": CACHE_CONTROL,
        "Content-Type": video.content_type,
        **HARMLESS,
        **({"Content-Disposition": attachment} if attachment else {}),
    }
    if early := _without_bytes(request, video, headers):
        return early
    try:
        part = _wanted(request, headers, video.size)
    except Unsatisfiable:
        text = f"The range lies outside the file, which has {video.size} bytes."
        return error(416, "range", text, {"Content-Range": f"bytes */{video.size}", "Accept-Ranges": "bytes"})
    if part is not None:
        headers["Content-Range"] = part.content_range(video.size)
    wanted = part or ByteRange(0, video.size)
    headers["Content-Length"] = str(wanted.length)
    if request.method == "HEAD":
        there = await find_present(video.copies, video.size, video.failed)
        return HttpResponse(headers=headers) if there else no_copy().answer()
    status = 206 if part else 200
    elsewhere = None if attachment else await redirected(request, video)  # a bucket knows nothing of the file's name
    sent_by_others = elsewhere or await by_nginx(request, video, part, headers)
    return sent_by_others or await _streamed(video, wanted, status, headers)


def _without_bytes(request: HttpRequest, video: Archived, headers: dict[str, str]) -> HttpResponse | None:
    """The answer to a condition under which nothing is to be sent. Players rarely set one."""
    if not any(name in request.META for name in _CONDITIONS):
        return None
    early = get_conditional_response(request, headers["ETag"], video.modified, HttpResponse(headers=headers))
    if early is not None and early.status_code == 412:
        return error(412, "precondition_failed", "The video is not the one that was asked for.")
    return None if early is None or early.status_code == 200 else early


async def _streamed(video: Archived, wanted: ByteRange, status: int, headers: dict[str, str]) -> HttpResponseBase:
    reader = CopyReader(video.copies, video.size, wanted, video.failed)
    try:
        await reader.open()
    except NoCopyLeft:
        return no_copy().answer()
    return PiecesResponse(reader.pieces(), status=status, headers=headers, close=reader.close)


def _wanted(request: HttpRequest, headers: dict[str, str], size: int) -> ByteRange | None:
    """The range to send; None for the whole file. Range is defined for GET alone (RFC 9110 §14.2)."""
    asked = request.headers.get("Range", "")
    if request.method != "GET" or not asked:
        return None
    if not range_applies(request.headers.get("If-Range", ""), headers["ETag"], headers["Last-Modified"]):
        return None
    return parse_range(asked, size)
