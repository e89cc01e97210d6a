"""`GET /api/v1/store/{mal_id}/{episode}/{provider}[/{resolution}]`: where the edge finds a video's bytes."""

from __future__ import annotations

import asyncio
import hmac
import time
from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.authentication import get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from archive_site.bearer import ApiToken
from storage_app.api.async_view import AsyncView
from storage_app.api.playable import Archived, Nothing, QueueStatus, find, no_copy
from storage_app.api.stream import KEY_PARAMETERS
from storage_app.backends.base import SignedUrl, StorageError
from storage_app.playback import known
from storage_app.playback.copies import find_present, left_out
from storage_app.playback.reach import reachable
from storage_app.playback.remote import RemoteCopy
from storage_app.playback.source import PlayableSource, SourceOf

ARCHIVED_SECONDS = 300
"""For which the edge may keep what it was told of an archived video."""
SOURCE_SECONDS = 15
"""… of one that is not archived yet, and may be at any moment."""
LINK_SECONDS = 3.0
"""In which an account has to tell where a copy is to be read, and a folder whether it has it; else it is left out."""


class EdgeToken(ApiToken):
    """The token of the Cloudflare Worker; the API's own is good, too."""

    setting: ClassVar[str] = "EDGE_TOKEN"
    remedy: ClassVar[str] = "Set EDGE_TOKEN (or API_TOKEN, TRIGGER_TOKEN, HF_FILE_SALT) and restart."

    def authenticate(self, request: Request) -> tuple[None, str]:
        """See BearerToken.authenticate."""
        try:
            return super().authenticate(request)
        except AuthenticationFailed:
            scheme, _, given = get_authorization_header(request).partition(b" ")
            expected = str(settings.API_TOKEN).encode()
            if not expected or scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(), expected):
                raise
            return None, "API_TOKEN"


class LookupView(AsyncView):
    """A video's copies, its source, or why there is nothing."""

    authentication_classes = [EdgeToken]
    # Given in urls.py: storage_app knows nothing of the queue.
    queue_status: QueueStatus | None = None
    source_of: SourceOf | None = None
    extra_headers: ClassVar[dict[str, str]] = {"Vary": "Authorization"}

    @extend_schema(
        operation_id="store_lookup",
        summary="Where a video's bytes are",
        description="For the Cloudflare Worker. Archived: its copies by short-lived URLs, the best first, all of the "
        "same bytes. Else its source, or the very status and body that `/stream` answers. To be kept until "
        "`valid_until` (seconds since 1970), and shown to nobody.",
        tags=["store"],
        parameters=KEY_PARAMETERS,
        responses={200: dict, 401: dict, 404: dict, 410: dict, 503: dict},
    )
    async def get(
        self, request: HttpRequest, mal_id: str, episode: str, provider: str, resolution: str | None = None
    ) -> HttpResponseBase:
        """200, or what `/stream` answers."""
        EdgeToken().authenticate(request)  # type: ignore[arg-type]  # it looks at the header alone
        found = await find((mal_id, episode, provider, resolution), self.queue_status, self.source_of)
        if isinstance(found, Nothing):
            return found.answer()
        if isinstance(found, PlayableSource):
            return _source(found)
        return await _archived(found)

    async def head(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """The headers of GET."""
        return await self.get(request, *args, **kwargs)


@extend_schema_view(
    get=extend_schema(operation_id="store_lookup_as_it_comes", summary="The same for a key without a resolution")
)
class LookupAsItComesView(LookupView):
    """The same for the URL without a resolution."""


def _source(source: PlayableSource) -> HttpResponseBase:
    until = int(time.time()) + SOURCE_SECONDS
    return _answer({"status": "source", "url": source.url, "queue_status": source.status}, until)


async def _archived(video: Archived) -> HttpResponseBase:
    here = [copy for copy in video.copies if not isinstance(copy, RemoteCopy)]
    away = [copy for copy in video.copies if isinstance(copy, RemoteCopy)]
    shown = [copy for copy in away if reachable(copy.endpoint, _site(), browser=False)]
    links = [*zip(shown, await asyncio.gather(*(_link(copy, video) for copy in shown)), strict=True)]
    copies = [{"kind": copy.kind, "url": link.url} for copy, link in links if link and not link.headers]
    until = min([time.time() + ARCHIVED_SECONDS, *(link.until for _, link in links if link)])
    through_us = len(shown) < len(away) or any(link and link.headers for _, link in links)
    if copies:
        here = [copy for copy in here if not known.has_failed(copy.key)]
    at_hand = await find_present(here, video.size, video.failed, patience=LINK_SECONDS)
    if at_hand or (through_us and not copies):
        copies.append({"kind": "site", "url": _site() + video.key.stream_path()})
    if not copies:
        return no_copy().answer()
    told = {"size": video.size, "sha256": video.sha256, "content_type": video.content_type}
    body = {"status": "archived", **told, "last_modified": video.modified, "copies": copies}
    return _answer(body, int(until))


async def _link(copy: RemoteCopy, video: Archived) -> SignedUrl | None:
    """Where it can be read; None when the account doesn't tell in time."""
    try:
        async with asyncio.timeout(LINK_SECONDS):
            return await copy.link()
    except (OSError, StorageError) as trouble:
        left_out(copy, trouble)
        if known.failed(copy.key):
            video.failed(copy)
        return None


def _site() -> str:
    return str(settings.PUBLIC_URL)


def _answer(body: dict[str, Any], until: int) -> HttpResponseBase:
    seconds = max(0, until - int(time.time()))
    headers = {"Cache-Control": f"private, max-age={seconds}"}
    return JsonResponse({**body, "valid_until": until}, headers=headers)
