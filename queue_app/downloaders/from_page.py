"""From a page's URL to the file of the video on it, with what the page says of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from archive_site.safe_http import Fetcher, display_url
from queue_app.downloaders import page
from queue_app.downloaders.answer import NotMedia, may_have_expired
from queue_app.downloaders.base import Downloaded, Limits, ProgressSink, Source
from queue_app.downloaders.page_extras import Extras
from queue_app.failures import ExpiredUrl, Failure, Transient


def download(
    fetcher: Fetcher,
    source: Source,
    folder: Path,
    limits: Limits,
    progress: ProgressSink,
    fetch: Callable[[Source], Downloaded],
) -> Downloaded:
    """The video on the page at `source.url`, which `fetch` brings into `folder` from its own URL.

    When that URL expires, at once or in the middle, the page is asked once for a new one; then it is ExpiredUrl. When
    it answers another page or other text, the page is watched in a browser next; then it is Transient. Raises what
    `page.resolve` and `fetch` raise.
    """
    try:
        return _once(fetcher, source, folder, limits, progress, fetch)
    except _Expired:
        pass
    try:
        return _once(fetcher, source, folder, limits, progress, fetch)
    except _Expired as again:
        raise ExpiredUrl(
            f"{display_url(source.url)} gave a URL that may not be fetched, twice. {again}"
        ) from again.__cause__


class _Expired(Exception):
    """The URL that the page gave is no longer good."""


def _once(
    fetcher: Fetcher,
    source: Source,
    folder: Path,
    limits: Limits,
    progress: ProgressSink,
    fetch: Callable[[Source], Downloaded],
) -> Downloaded:
    def resolve(refused: str = "") -> page.Found:
        return page.resolve(
            source.url,
            policy=fetcher.policy,
            resolution=source.resolution,
            progress=progress,
            seconds=limits.page_seconds,
            browser=limits.browser,
            refused=refused,
        )

    found = resolve()
    try:
        try:
            fetched = _fetched(found, source, fetch)
        except NotMedia as refusal:
            if found.watched:
                raise
            found = resolve(str(refusal).rstrip("."))
            fetched = _fetched(found, source, fetch)
    except NotMedia as refusal:
        # What a page gives may be better another time, so unlike an address of its own it isn't refused for good.
        raise Transient(f"{display_url(source.url)} led to no video. {refusal}") from refusal
    extras = Extras(fetcher, found, folder, lambda: progress(fetched.size, fetched.size))
    told = extras.page()
    return dataclasses.replace(fetched, page=told, subtitles=(*fetched.subtitles, *extras.subtitles()))


def _fetched(found: page.Found, source: Source, fetch: Callable[[Source], Downloaded]) -> Downloaded:
    try:
        return fetch(Source(found.url, source.resolution, headers=found.headers))
    except Failure as failure:
        if may_have_expired(failure):
            raise _Expired(str(failure)) from failure
        raise
