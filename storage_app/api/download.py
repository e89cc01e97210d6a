"""`/api/videos/ID/download` (CONTRACT §2.5) gives a link to `/download/ID`, which gives the file under a good name."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from archive_site.database_threads import in_request_database
from storage_app.api.async_view import AsyncView, error
from storage_app.api.playable import Archived, Nothing, archived
from storage_app.api.stream import serve
from storage_app.deletion import tombstone_of
from storage_app.key_rules import filter_by
from storage_app.models import VideoStore
from storage_app.naming import VideoKey
from storage_app.playback.cors import CORS, preflight
from storage_app.playback.file_names import attachment, file_name
from storage_app.playback.signing import Refused
from storage_app.playback.tickets import check, download_url

WorkTitle = Callable[[int], str | None]
"""The title of a work, by its number."""


@dataclass(frozen=True)
class QueuedVideo:
    """What the queue knows of a job."""

    key: VideoKey
    status: str


FindJob = Callable[[UUID], QueuedVideo | None]


class DownloadSerializer(serializers.Serializer[dict[str, Any]]):
    """A link to the file."""

    url = serializers.URLField(help_text="Answers GET and HEAD with the file, ranges of it included.")
    expires_at = serializers.DateTimeField(help_text="The link is good until then; a download that runs goes on.")


class DownloadLinkView(APIView):
    """A link to the file of a video, once there is one."""

    find_job: FindJob | None = None  # given in urls.py: storage_app knows nothing of the queue

    @extend_schema(
        operation_id="video_download",
        summary="Get a link to download a video",
        description="The id is that of the job or of the archived video. 409 tells the job's status while the video "
        "is not ready, or that there is no file of it here; 410 that it was deleted.",
        auth=[],
        responses={200: DownloadSerializer, 404: dict, 409: dict, 410: dict},
        tags=["playback"],
    )
    def get(self, request: Request, video_id: UUID) -> Response:
        """The link, signed and expiring."""
        job = self.find_job(video_id) if self.find_job else None
        video = VideoStore.objects.filter(**filter_by(job.key) if job else {"pk": video_id}).first()
        if video is not None and video.stored_file_id is None:
            text = "Another program says that it has archived this video; there is no file of it here to download."
            return _refusal(409, "no_file", text, **({"status": job.status} if job else {}))
        if video is not None:
            url, expires = download_url(video.pk)
            until = datetime.fromtimestamp(expires, UTC).isoformat().replace("+00:00", "Z")
            return Response({"url": url, "expires_at": until}, headers={"Cache-Control": "no-store"})
        return _not_there(job)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Response:
        """Every answer may be read from any site."""
        final = super().finalize_response(request, response, *args, **kwargs)
        for name, value in CORS.items():
            final[name] = value
        return final


class DownloadView(AsyncView):
    """The file itself, for who holds a link."""

    schema = None
    work_title: WorkTitle | None = None  # given in urls.py
    extra_headers = CORS

    async def get(self, request: HttpRequest, video_id: UUID) -> HttpResponseBase:
        """As `/stream` answers, ranges included, to be kept as a file."""
        try:
            check(video_id, request.GET.dict(), time.time())
        except Refused as refused:
            return error(refused.status, refused.error, str(refused))
        found = await in_request_database(lambda: self._look_up(video_id))
        if isinstance(found, Nothing):
            return found.answer()
        video, name = found
        return await serve(request, video, attachment=attachment(name))

    async def head(self, request: HttpRequest, video_id: UUID) -> HttpResponseBase:
        """The headers of GET."""
        return await self.get(request, video_id)

    async def options(  # type: ignore[override]
        self, request: HttpRequest, *args: object, **kwargs: object
    ) -> HttpResponseBase:
        """The CORS preflight."""
        return preflight()

    def _look_up(self, video_id: UUID) -> tuple[Archived, str] | Nothing:
        video = VideoStore.objects.select_related("stored_file").filter(pk=video_id).first()
        if video is None:
            return Nothing(410, "deleted", "This video was deleted since the link was made.")
        key = VideoKey(video.mal_id, video.episode, video.provider, video.resolution)
        found = archived(key, video)
        title = self.work_title(video.mal_id) if self.work_title else None
        return found if isinstance(found, Nothing) else (found, file_name(key, title or video.title))


def _not_there(job: QueuedVideo | None) -> Response:
    if job is None:
        return _refusal(404, "not_found", "There is no video with this id.")
    if job.status in {"ready", "cancelled"} and tombstone_of(job.key):
        gone = "This video was deleted. Asking for it anew archives it again."
        return _refusal(410, "deleted", gone, status=job.status)
    text = f"This video is not ready to be downloaded: its job is {job.status}."
    return _refusal(409, "not_ready", text, status=job.status)


def _refusal(code: int, word: str, text: str, **more: str) -> Response:
    given = {"error": word, "detail": text, **more}
    return Response(given, status=code, headers={"Cache-Control": "no-store"})
