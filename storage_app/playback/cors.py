"""What every answer to a player carries, and how it is told that something went wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping

from django.http import HttpResponse

CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "Range, If-Range, If-None-Match, If-Modified-Since, Content-Type",
    "Access-Control-Expose-Headers": "Accept-Ranges, Content-Length, Content-Range, ETag, Last-Modified",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
# What is served came from strangers: no browser may take it for a page of this site. The page that a browser makes
# around a video that is opened by itself has to load it, hence media-src; sandboxed as it is, it needs CORS for that.
HARMLESS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; media-src 'self'; sandbox",
}
METHODS = "GET, HEAD, OPTIONS"


def preflight() -> HttpResponse:
    """The answer to OPTIONS."""
    return _bare(204, {**CORS, "Access-Control-Max-Age": "86400", "Allow": METHODS})


def without_body(status: int, headers: Mapping[str, str]) -> HttpResponse:
    """An answer that is all header: to HEAD, or 304."""
    return _bare(status, headers)


def failure(status: int, error: str, detail: str, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """`{"error": a word for programs, "detail": a sentence for people}`, never kept by caches.

    The Worker's answers have the same bytes.
    """
    body = json.dumps({"error": error, "detail": detail}, separators=(",", ":"), ensure_ascii=False).encode()
    answer = HttpResponse(body, status=status, content_type="application/json")
    for name, value in {
        **CORS,
        "Cache-Control": "no-store",
        "Content-Length": str(len(body)),
        **(headers or {}),
    }.items():
        answer[name] = value
    return answer


def method_not_allowed() -> HttpResponse:
    """405."""
    return failure(405, "method_not_allowed", f"Only {METHODS} are answered here.", {"Allow": METHODS})


def _bare(status: int, headers: Mapping[str, str]) -> HttpResponse:
    answer = HttpResponse(status=status, headers=dict(headers))
    if "Content-Type" not in headers:
        del answer["Content-Type"]
    return answer
