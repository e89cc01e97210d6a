"""The short way to the views that players ask: no middleware, no signals, and no thread for as long as a video plays.

Django's own way costs a request several changes of thread, keeps one thread for each response until its end, and turns
to threads for whatever middleware isn't asynchronous. None of the middleware does anything for a player: there is no
session, no form and no page in a frame. A view asks for this by `@without_middleware`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from asgiref.sync import ThreadSensitiveContext
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.exception import convert_exception_to_response
from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import ResolverMatch, get_urlconf, resolve, set_urlconf

from archive_site.body_limit import Receive, Send
from archive_site.fetch_errors import FetchError
from archive_site.piece_handler import PieceHandler

PREFIXES = ("/proxy", "/stream/", "/download/", "/api/v1/streaming/")
"""Only below these is looked for such views."""

View = TypeVar("View", bound=Callable[..., Any])

logger = logging.getLogger(__name__)


def without_middleware(view: View) -> View:
    """Marks an asynchronous view below one of PREFIXES. It may not use the session or the user.

    Threads that it starts by `sync_to_async` are gone when it returns; it closes their database connections itself.
    """
    view.without_middleware = True  # type: ignore[attr-defined]
    return view


class DirectHandler(PieceHandler):
    """Django's handler, with the short way."""

    def load_middleware(self, is_async: bool = False) -> None:
        """See BaseHandler."""
        super().load_middleware(is_async)
        self._answer = convert_exception_to_response(_call_view)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """One request."""
        match = _direct(scope["path"]) if scope["type"] == "http" else None
        if match is None:
            await super().__call__(scope, receive, send)
        else:
            await self._directly(_DirectRequest(scope, match), receive, send)

    async def get_response_async(self, request: Any) -> HttpResponseBase:
        """See BaseHandler."""
        if not isinstance(request, _DirectRequest):
            return await super().get_response_async(request)
        set_urlconf(settings.ROOT_URLCONF)
        response: HttpResponseBase = await self._answer(request)  # type: ignore[misc]  # as the view is
        return response

    async def _directly(self, request: _DirectRequest, receive: Receive, send: Send) -> None:
        """Answer, unless the viewer leaves first: then everything ends at once."""
        answering = asyncio.create_task(self._respond(request, send))
        leaving = asyncio.create_task(_viewer_leaves(receive))
        try:
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (leaving, answering):
                if not task.done():
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task
        for task in (leaving, answering):
            if not task.cancelled():
                task.result()

    async def _respond(self, request: _DirectRequest, send: Send) -> None:
        response: HttpResponseBase | None = None
        try:
            async with ThreadSensitiveContext():  # whose end is awaited: the viewer may leave meanwhile
                response = await self.run_get_response(request)
            await self._send(response, send)
        finally:
            if response is not None:
                response.close()

    async def _send(self, response: HttpResponseBase, send: Send) -> None:
        try:
            await self.send_response(response, send)
        except FetchError as error:
            # The connection is closed without a proper end. There is no more to say to either side.
            logger.debug("%s", error)


class _DirectRequest(ASGIRequest):
    """A request that goes the short way. Its view is known, and it has no body."""

    def __init__(self, scope: dict[str, Any], match: ResolverMatch) -> None:
        super().__init__(scope, io.BytesIO())
        self.resolver_match = match


async def _call_view(request: HttpRequest) -> HttpResponseBase:
    match: ResolverMatch = request.resolver_match  # type: ignore[assignment]
    response: HttpResponseBase = await match.func(request, *match.args, **match.kwargs)
    return response


def _direct(path: str) -> ResolverMatch | None:
    """The view that wants to be called without middleware."""
    return _resolved(path, get_urlconf() or settings.ROOT_URLCONF) if path.startswith(PREFIXES) else None


@functools.lru_cache(1024)  # a player asks for the same video many times, and the URL map never changes
def _resolved(path: str, urlconf: str) -> ResolverMatch | None:
    try:
        match = resolve(path, urlconf)
    except Http404:
        return None
    return match if getattr(match.func, "without_middleware", False) else None


async def _viewer_leaves(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
