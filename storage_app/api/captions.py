"""`/captions/ID.vtt` and `/pictures/ID`: what players show with a video. The id is that of one content for ever."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.http import HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from storage_app.beside import VTT, captions_file, content_of, picture_file, require_copy
from storage_app.models import StoredFile
from storage_app.playback.copies import NoCopyLeft
from storage_app.playback.cors import CORS

MAX_BYTES = 8 * 1024 * 1024
"""More is not sent: it is read into memory."""

# It came from strangers: no browser may run anything in it, nor guess its type.
_HARMLESS = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox"}


class _FileView(APIView):
    """One small file, whole, from whichever copy can be read."""

    what: ClassVar[str]
    find: staticmethod[[UUID], StoredFile | None]

    def get(self, request: Request, file_id: UUID) -> HttpResponseBase:
        """GET and, through Django, HEAD."""
        file = self.find(file_id)
        if file is None:
            return _refusal(404, "not_found", f"There are no {self.what} with this id.")
        if file.size > MAX_BYTES:
            return _refusal(404, "too_large", f"These {self.what} have more than {MAX_BYTES // 1024**2} MiB.")
        headers = {
            "ETag": f'"{file.sha256}"',
            "Cache-Control": "public, max-age=31536000, immutable",
            "Content-Type": "text/vtt; charset=utf-8" if file.content_type.startswith(VTT) else file.content_type,
            **_HARMLESS,
        }
        early = get_conditional_response(request._request, headers["ETag"], None, HttpResponse(headers=headers))
        if early is not None and early.status_code != 200:
            return early
        try:
            if request.method == "HEAD":
                require_copy(file)
                return HttpResponse(headers={**headers, "Content-Length": str(file.size)})
            return HttpResponse(content_of(file), headers=headers)
        except NoCopyLeft:
            return _refusal(503, "no_copy", f"No copy of these {self.what} can be read now.", {"Retry-After": "30"})

    @extend_schema(exclude=True)
    def options(self, request: Any, *args: object, **kwargs: object) -> Response:
        """The CORS preflight."""
        return Response(status=204, headers={"Access-Control-Max-Age": "86400", "Allow": "GET, HEAD, OPTIONS"})

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Response:
        """Every answer may be read from any site: players elsewhere show these, too."""
        final = super().finalize_response(request, response, *args, **kwargs)
        for name, value in CORS.items():
            final[name] = value
        return final


class CaptionsView(_FileView):
    """A text track, or the index of a storyboard."""

    what = "captions"
    find = staticmethod(captions_file)

    @extend_schema(
        operation_id="captions", summary="Captions of a video", auth=[], tags=["playback"],
        responses={(200, "text/vtt"): str, 304: None, 404: dict, 503: dict},
    )  # fmt: skip
    def get(self, request: Request, file_id: UUID) -> HttpResponseBase:
        """WebVTT, as it was stored."""
        return super().get(request, file_id)


class PictureView(_FileView):
    """A thumbnail, or a storyboard's picture."""

    what = "pictures"
    find = staticmethod(picture_file)

    @extend_schema(
        operation_id="picture", summary="A picture of a video", auth=[], tags=["playback"],
        responses={(200, "image/jpeg"): bytes, 304: None, 404: dict, 503: dict},
    )  # fmt: skip
    def get(self, request: Request, file_id: UUID) -> HttpResponseBase:
        """JPEG, PNG or WebP, as it was stored."""
        return super().get(request, file_id)


def _refusal(status: int, error: str, detail: str, headers: dict[str, str] | None = None) -> Response:
    return Response({"error": error, "detail": detail}, status=status, headers=headers)
