"""Answers that any site's scripts may read: `success`, and where that is false a word and a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse, JsonResponse

OPEN = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "Content-Type",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}
PREFLIGHT = {"Access-Control-Max-Age": "86400", "Allow": "GET, HEAD, OPTIONS"}

NOT_FOUND = "not_found"
BAD_REQUEST = "bad_request"


def answer(body: Mapping[str, Any], status: int = 200, **headers: str) -> HttpResponse:
    """This body as JSON."""
    return JsonResponse(body, status=status, headers={**OPEN, **headers}, json_dumps_params={"ensure_ascii": False})


def refusal(status: int, error: str, detail: str, **headers: str) -> HttpResponse:
    """`success` is false."""
    return answer({"success": False, "error": error, "detail": detail}, status, **headers)


def preflight() -> HttpResponse:
    """To OPTIONS."""
    return HttpResponse(status=204, headers={**OPEN, **PREFLIGHT})
