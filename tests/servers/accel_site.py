"""A site whose views leave bytes to nginx: settings and URL map for tests/api/test_x_accel.py.

Run by the product's own gunicorn configuration and ASGI application, with DJANGO_SETTINGS_MODULE naming this module.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import path

from archive_site.addresses import Endpoint, Policy
from archive_site.async_direct import without_middleware
from archive_site.settings import *  # noqa: F403
from storage_app.playback import accel

ROOT_URLCONF = "tests.servers.accel_site"
FOLDER = Path(os.environ["REELKEEP_DATA"])
HEADERS = {
    "Content-Type": "video/mp4",
    "Content-Length": "12345",
    "ETag": '"sha-of-the-film"',
    "Last-Modified": "Sat, 01 Nov 2025 12:00:00 GMT",
    "Cache-Control": "public, max-age=300",
    "Accept-Ranges": "bytes",
    "Access-Control-Allow-Origin": "*",
    "Content-Disposition": 'attachment; filename="film.mp4"',
    "Content-Security-Policy": "default-src 'none'; media-src 'self'; sandbox",
    "X-Content-Type-Options": "nosniff",
}


def itself(request: HttpRequest) -> HttpResponseBase:
    """What the site answers when nginx doesn't: the path and query that it was asked for, with headers of its own, and
    with `?full=1` all those that it gives nginx for its answer."""
    text = f"{request.method} {request.get_full_path()}"
    headers = {"ETag": '"own"', "Last-Modified": HEADERS["Last-Modified"], "X-Itself": "1"}
    if "full" in request.GET:
        headers |= {**HEADERS, "Cache-Control": "no-store", "Content-Length": str(len(text.encode()))}
    return HttpResponse(text, status=int(request.GET.get("status", "200")), headers=headers)


@without_middleware
async def file(request: HttpRequest) -> HttpResponseBase:
    """`?name=` of a file; with `?status=206` the range that is asked for."""
    if not accel.wanted(request):
        return itself(request)
    return accel.file_response(FOLDER / request.GET["name"], HEADERS, int(request.GET.get("status", "200")))


@without_middleware
async def remote(request: HttpRequest) -> HttpResponseBase:
    """`?url=`; at `?port=` of loopback, or where its host is; `?foreign=1` for a stranger's."""
    if not accel.wanted(request):
        return itself(request)
    url = request.GET["url"]
    if "port" in request.GET:
        address: Endpoint | None = Endpoint(socket.AF_INET, ("127.0.0.1", int(request.GET["port"])))
    else:
        address = await accel.trusted_address(url, Policy())
    assert address is not None
    asked = request.headers.get("Range", "")
    return accel.remote_response(url, address, HEADERS, byte_range=asked, foreign="foreign" in request.GET)


urlpatterns = [path("stream/file", file), path("stream/remote", remote), path("health", itself), path("itself", itself)]
