"""Views for players: in the event loop, open to pages of every site, each error in one JSON shape."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from rest_framework.views import APIView

from archive_site.api_errors import handle

WORDS = {401: "unauthorized", 500: "server_error", 503: "unavailable"}


def error(
    status: int, word: str, text: str, headers: Mapping[str, str] | None = None, /, **more: object
) -> HttpResponse:
    """`word` is for programs, `text` for people. The Worker's answers have the same bytes."""
    body = json.dumps({"error": word, "detail": text, **more}, separators=(",", ":"), ensure_ascii=False).encode()
    given = {"Cache-Control": "no-store", "Content-Length": str(len(body)), **(headers or {})}
    return HttpResponse(body, status=status, content_type="application/json", headers=given)


class AsyncView(APIView):
    """An APIView to the OpenAPI document only: its handlers are coroutines that take Django's own request."""

    view_is_async = True  # extend_schema_view hides coroutines from Django's own look at the handlers
    extra_headers: ClassVar[dict[str, str]] = {}
    """Of every answer, errors included."""

    async def dispatch(  # type: ignore[override]
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        """Has the handler of the method answer, and says what went wrong."""
        handlers = {name: getattr(self, name.lower(), None) for name in ("GET", "HEAD", "OPTIONS")}
        handler = handlers.get(request.method or "")
        allowed = ", ".join(name for name, known in handlers.items() if known)
        if handler is None:
            text = f"This address answers {allowed} only."
            response: HttpResponseBase = error(405, "method_not_allowed", text, {"Allow": allowed})
        else:
            try:
                response = await handler(request, *args, **kwargs)
            except Exception as trouble:  # noqa: BLE001 (the last resort of every API view: it logs what is unexpected)
                response = _answer_to(trouble, self)
        for name, value in self.extra_headers.items():
            response.headers.setdefault(name, value)
        return response


def _answer_to(trouble: Exception, view: AsyncView) -> HttpResponse:
    found = handle(trouble, {"view": view})
    if found is None:
        raise trouble
    headers = {name: value for name, value in found.headers.items() if name.lower() != "content-type"}
    if found.status_code == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return error(found.status_code, WORDS.get(found.status_code, "refused"), str(found.data["detail"]), headers)
