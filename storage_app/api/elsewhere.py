"""Answers whose bytes somebody else sends: the bucket itself, or the nginx in front of this site."""

from __future__ import annotations

import asyncio

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect

from archive_site.addresses import FetchError
from storage_app.api.playable import Archived
from storage_app.backends.base import SignedUrl, StorageError
from storage_app.playback import accel, known
from storage_app.playback.copies import Copy, LocalCopy, find_present, left_out
from storage_app.playback.failover import SILENT_SECONDS
from storage_app.playback.ranges import ByteRange
from storage_app.playback.reach import reachable
from storage_app.playback.remote import OPERATORS_OWN, RemoteCopy


async def redirected(request: HttpRequest, video: Archived) -> HttpResponseBase | None:
    """The way to the bucket, if that is where this viewer would be served from and may go by itself."""
    copy = _first(video) if settings.S3_PLAYBACK == "redirect" else None
    if not isinstance(copy, RemoteCopy) or copy.kind != "s3":
        return None
    # What the viewer says of where it is may only make it less: a URL of a private bucket is for nobody outside.
    if not all(reachable(copy.endpoint, site) for site in (settings.PUBLIC_URL, request.build_absolute_uri("/"))):
        return None
    link = await _confirmed(copy, video)
    return HttpResponseRedirect(link.url, headers={"Cache-Control": "no-store"}) if link else None


async def by_nginx(
    request: HttpRequest, video: Archived, part: ByteRange | None, headers: dict[str, str]
) -> HttpResponseBase | None:
    """What tells nginx to send these bytes, if it is there. It sends files, and what lies elsewhere if that is the only
    copy: it can't go on from another one in the middle."""
    copy = _first(video) if accel.wanted(request) else None
    if isinstance(copy, LocalCopy):
        patience = SILENT_SECONDS if len(video.copies) > 1 else copy.patience
        there = await find_present([copy], video.size, video.failed, patience=patience)
        path = copy.backend.local_path(copy.repo, copy.path)
        return accel.file_response(path, headers, 206 if part else 200) if there else None
    if not isinstance(copy, RemoteCopy) or len(video.copies) > 1:
        return None
    link = await _confirmed(copy, video)
    if link is None or link.headers:
        return None
    try:
        address = await accel.trusted_address(link.url, OPERATORS_OWN)
        asked = f"bytes={part.start}-{part.stop - 1}" if part else ""
        told = {name: value for name, value in headers.items() if name != "Accept-Ranges"}  # nginx says so itself
        return accel.remote_response(link.url, address, told, byte_range=asked) if address else None
    except (OSError, ValueError, FetchError) as trouble:
        left_out(copy, trouble)
        return None


def _first(video: Archived) -> Copy | None:
    """The copy to read, unless that has just failed."""
    copy = video.copies[0] if video.copies else None
    return None if copy is None or known.has_failed(copy.key) else copy


async def _confirmed(copy: RemoteCopy, video: Archived) -> SignedUrl | None:
    """Where the copy can be read, once its account has said that it is what it should be."""
    try:
        async with asyncio.timeout(copy.patience):
            await copy.confirm(video.size)
            return await copy.link()
    except (OSError, StorageError) as trouble:
        left_out(copy, trouble)
        if known.failed(copy.key):
            video.failed(copy)
        return None
