"""A stranger's answer as a viewer gets it: `/proxy` below the check of the signature (CONTRACT §2.2).

Bytes pass through unchanged, playlists rewritten, everything else as an error in JSON. Of the viewer's request the
upstream sees the URL, one Range and the conditions; of the upstream's header the viewer sees what a player needs.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from archive_site.addresses import FetchError, Policy, display_url
from archive_site.async_http import Upstream, fetcher_for
from archive_site.fetch_errors import BodyTooLarge, Cut
from archive_site.pieces import Piece, PiecesResponse
from storage_app.playback import upstream_headers
from storage_app.playback.content_types import PLAYLIST, says_nothing
from storage_app.playback.cors import CORS, HARMLESS, failure, without_body
from storage_app.playback.playlists import SNIFFED, PlaylistTooLarge, ends, is_playlist, rewrite
from storage_app.playback.signing import Signer
from storage_app.playback.source import Instead
from storage_app.playback.threads import pool
from storage_app.playback.upstream_failures import failed
from storage_app.playback.upstream_headers import Sent, Unusable
from storage_app.playback.upstream_nginx import left_to_nginx, plain_folders

MAX_PLAYLIST = 8 * 1024 * 1024
_REWRITTEN_HERE = 64 * 1024  # what is larger is rewritten in a thread: others' bytes shall not wait for it
_REWRITTEN_AT_ONCE = 2

logger = logging.getLogger(__name__)


class Gone(Exception):
    """The upstream doesn't give this; another URL of the same may. `answer` is for the viewer if there is none."""

    def __init__(self, answer: HttpResponse) -> None:
        super().__init__()
        self.answer = answer


def policy() -> Policy:
    """Where viewers may be led, by the settings: the same as for downloads."""
    return Policy(allow_hosts=settings.FETCH_ALLOW_HOSTS, proxy=settings.FETCH_PROXY or None)


async def proxied(
    request: HttpRequest,
    url: str,
    signer: Signer,
    *,
    variables: str = "",
    extra_query: str = "",
    lasting: bool = True,
    instead: Instead | None = None,
) -> HttpResponseBase:
    """What is at `url`, for GET and HEAD. Never raises for what an upstream does.

    Links in a playlist are written by `signer`, with the `variables` that it may import (EXT-X-DEFINE). `extra_query`
    goes to the upstream beside the URL's own query. With `lasting=False` the answer is for a URL of ours that will
    soon lead elsewhere: validators pass neither way and nobody may keep it. Where the upstream has it no more, or not
    for us, `instead` is asked once for another URL.
    """
    asked = Asked(_target(url, extra_query), request, signer, variables, lasting)
    try:
        return await (_head(asked) if request.method == "HEAD" else _get(asked))
    except Gone as gone:
        other = await instead() if instead is not None else None
        return await proxied(request, other, signer, lasting=lasting) if other is not None else gone.answer
    except Unusable as unusable:
        return failure(502, "upstream_status", str(unusable))
    except FetchError as error:
        logger.info("A viewer gets nothing: %s", error)
        return failed(error)


@dataclass(frozen=True)
class Asked:
    """One viewer's request."""

    target: str
    request: HttpRequest
    signer: Signer
    variables: str
    lasting: bool
    sent: Sent = field(init=False)
    """What of it the upstream is told. Playlists are always fetched whole."""

    def __post_init__(self) -> None:
        sent = Sent() if self.is_playlist_by_name else Sent.of(self.request, conditions=self.lasting)
        object.__setattr__(self, "sent", sent)

    @property
    def is_playlist_by_name(self) -> bool:
        """Does the URL say so?"""
        return is_playlist("", self.target, b"")

    async def open(self, headers: Mapping[str, str] | None = None, method: str = "GET") -> Upstream:
        """The upstream's answer. Raises FetchError."""
        return await fetcher_for(policy()).open(self.target, headers, method=method)


async def _get(asked: Asked) -> HttpResponseBase:
    if asked.lasting and (
        answer := await left_to_nginx(asked.request, asked.target, asked.sent, policy(), _kept(lasting=True))
    ):
        return answer
    upstream = await asked.open(asked.sent.headers)
    if upstream.status != 304:
        plain_folders.forget(asked.target)
    try:
        if (refusal := _refusal(upstream, asked.sent)) is not None:
            return refusal
        if _is_playlist(asked, upstream):
            return await _playlist(asked, upstream)
        chunks = upstream.chunks()
        head = await _first_bytes(upstream, chunks) if _may_be_playlist(upstream) else b""
        is_one = is_playlist(upstream.headers.get("Content-Type", ""), upstream.url, head)
        if is_one or await _is_part_of_playlist(asked, upstream):
            return await _playlist(asked, upstream, head, chunks)
    except BaseException:
        upstream.abort()
        raise
    if upstream.url == asked.target:
        plain_folders.came(asked.target)
    headers = _answered(upstream, asked)
    pieces = _pieces(upstream, head, chunks, whole_by_length="Content-Length" in headers)
    return PiecesResponse(pieces, status=upstream.status, headers=headers, close=upstream.abort)


async def _head(asked: Asked) -> HttpResponseBase:
    upstream = await asked.open(asked.sent.headers, "HEAD")
    upstream.abort()
    sent = asked.sent
    if upstream.status in {405, 501}:
        sent = Sent({"Range": "bytes=0-0"})
        upstream = await asked.open(sent.headers)
        upstream.abort()
    if (refusal := _refusal(upstream, sent)) is not None:
        return refusal
    if _is_playlist(asked, upstream) or (_may_be_playlist(upstream) and await _begins_as_playlist(asked)):
        return await _playlist(asked, None)
    return without_body(200, _answered(upstream, asked, whole=True))


async def _is_part_of_playlist(asked: Asked, upstream: Upstream) -> bool:
    """Is it a later part of what only its first bytes, which are asked for, tell to be a playlist?"""
    untold = says_nothing(upstream.headers.get("Content-Type", ""))
    if upstream.status != 206 or not untold or _may_be_playlist(upstream):
        return False
    size = upstream_headers.whole_size(upstream)
    return (size is None or size <= MAX_PLAYLIST) and await _begins_as_playlist(asked)


async def _begins_as_playlist(asked: Asked) -> bool:
    upstream = await asked.open({"Range": f"bytes=0-{SNIFFED - 1}"})
    try:
        if upstream.status not in {200, 206}:
            return False
        head = await _first_bytes(upstream, upstream.chunks())
    finally:
        upstream.abort()
    return is_playlist(upstream.headers.get("Content-Type", ""), upstream.url, head)


def _is_playlist(asked: Asked, upstream: Upstream) -> bool:
    content_type = upstream.headers.get("Content-Type", "")
    return asked.is_playlist_by_name or is_playlist(content_type, upstream.url, b"")


def _may_be_playlist(upstream: Upstream) -> bool:
    """Do only its first bytes tell, and does it begin with them?"""
    from_start = upstream.status == 200 or upstream.headers.get("Content-Range", "").startswith("bytes 0-")
    return from_start and says_nothing(upstream.headers.get("Content-Type", ""))


async def _first_bytes(upstream: Upstream, chunks: AsyncIterator[bytes]) -> bytes:
    head = b""
    async for piece in chunks:
        head += piece
        if len(head) >= SNIFFED or len(head.lstrip(b"\xef\xbb\xbf\r\n\t ")) >= len(b"#EXTM3U"):
            break
    return head


async def _playlist(
    asked: Asked, upstream: Upstream | None, head: bytes = b"", chunks: AsyncIterator[bytes] | None = None
) -> HttpResponse:
    """The playlist whose answer has begun, or is to be asked for anew because only a part of it came."""
    if upstream is None or upstream.status != 200:
        if upstream is not None:
            upstream.abort()
        upstream, head, chunks = await asked.open(), b"", None
        try:
            refusal = _refusal(upstream, Sent())
        except Unusable:
            upstream.abort()
            raise
        if refusal is not None:
            return refusal
    text = await _all(upstream, head, chunks or upstream.chunks())
    body = await _rewritten(text, upstream.url, asked)
    headers = {
        "Content-Type": PLAYLIST,
        "Content-Length": str(len(body)),
        "Cache-Control": "public, max-age=60" if asked.lasting and ends(text) else "no-store",
        **CORS,
        **HARMLESS,
    }
    if asked.request.method == "HEAD":
        return without_body(200, headers)
    return HttpResponse(body, headers=headers)


async def _rewritten(text: bytes, base: str, asked: Asked) -> bytes:
    work = functools.partial(rewrite, text, base, asked.signer, asked.variables)
    try:
        if len(text) <= _REWRITTEN_HERE:
            return work()
        return await asyncio.get_running_loop().run_in_executor(pool("playlists", _REWRITTEN_AT_ONCE), work)
    except PlaylistTooLarge:
        raise BodyTooLarge(f"The playlist at {display_url(base)} is too large.") from None


async def _all(upstream: Upstream, head: bytes, chunks: AsyncIterator[bytes]) -> bytes:
    text = bytearray(head)
    try:
        async for piece in chunks:
            text += piece
            if len(text) > MAX_PLAYLIST:
                raise BodyTooLarge(f"The playlist at {display_url(upstream.url)} is too large.")
    finally:
        upstream.abort()
    return bytes(text)


def _refusal(upstream: Upstream, sent: Sent) -> HttpResponse | None:
    """The answer where none of the upstream's body is passed on; None where it is. Raises Unusable and Gone."""
    status = upstream.status
    if status in {200, 206}:
        upstream_headers.require_usable(upstream, sent)
        return None
    upstream.abort()
    if status == 304 and sent.conditional:
        return without_body(304, {**upstream_headers.validators(upstream.headers), **_kept(lasting=True)})
    detail = f"The source answers with status {status}."
    if status in {401, 403, 404, 410}:
        raise Gone(failure(status if status > 403 else 502, "upstream_status", detail))
    if status == 416:
        return failure(status, "upstream_status", detail, upstream_headers.size_told(upstream))
    if status in {429, 503}:
        return failure(503, "upstream_status", detail, upstream_headers.retry_after(upstream))
    return failure(502, "upstream_status", detail)


def _answered(upstream: Upstream, asked: Asked, *, whole: bool = False) -> dict[str, str]:
    """The header of the answer; with `whole` that of all of it, whatever part of it came."""
    headers = upstream_headers.passed_on(upstream, whole=whole)
    if asked.lasting:
        headers |= upstream_headers.validators(upstream.headers)
    return {**headers, **_kept(lasting=asked.lasting)}


def _kept(*, lasting: bool) -> dict[str, str]:
    return {"Cache-Control": "public, max-age=300" if lasting else "no-store", **CORS, **HARMLESS}


async def _pieces(
    upstream: Upstream, head: bytes, chunks: AsyncIterator[bytes], *, whole_by_length: bool
) -> AsyncIterator[Piece]:
    try:
        if head:
            yield head
        async for piece in chunks:
            yield piece
    except Cut as error:
        logger.warning("A viewer gets a part only: %s", error)
        # The web server closes the connection when fewer bytes came than were promised. Where nothing was promised,
        # the end must not look like one.
        if not whole_by_length:
            raise
    finally:
        upstream.abort()


def _target(url: str, extra_query: str) -> str:
    """Without a fragment, which is never sent."""
    bare = url.partition("#")[0]
    return f"{bare}{'&' if '?' in bare else '?'}{extra_query}" if extra_query else bare
