"""From a URL to one whole file on this host. Imports no models and no settings; `download` picks the
handler.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from archive_site.safe_http import Cut, Fetcher, Policy, display_url
from queue_app.downloaders import direct, hls
from queue_app.downloaders.answer import Answer, WebPage, cut_failure, may_have_expired
from queue_app.downloaders.base import (
    Downloaded,
    Limits,
    Progress,
    ProgressSink,
    Retries,
    Source,
    full_disk_as_failure,
)
from queue_app.downloaders.page_links import MEDIA_SUFFIXES, suffix
from queue_app.failures import ExpiredUrl, Failure, Forbidden, Gone

__all__ = ["Downloaded", "Limits", "Progress", "ProgressSink", "Source", "download"]

_PLAYLIST_SUFFIXES = {".m3u8", ".m3u"}


def download(source: Source, folder: Path, *, policy: Policy, limits: Limits, progress: ProgressSink) -> Downloaded:
    """Fetch the video that `source` leads to into the existing `folder`.

    Goes on where an unfinished call for the same folder stopped, if the source still has the same bytes. What is left
    in the folder, and when, is said in `base`. Raises a `queue_app.failures.Failure` with a sentence for the operator
    (Gone, Forbidden, ExpiredUrl, BadSource, Transient, TooLarge, DiskFull), and Cancelled if `progress` does.
    """
    with full_disk_as_failure(), Fetcher(policy) as fetcher:
        try:
            return _download_or_follow(fetcher, source, folder, limits, progress)
        except Failure as failure:
            if failure.permanent and not limits.keep_refused:
                _empty(folder)
            raise


def _download_or_follow(
    fetcher: Fetcher, source: Source, folder: Path, limits: Limits, progress: ProgressSink
) -> Downloaded:
    """The media at the source's URL; that of the page which the URL is, or came from and may renew it."""
    try:
        return _download(fetcher, source, folder, limits, progress)
    except WebPage:
        page_url = source.page_url or source.url
    except Failure as failure:
        if not (source.page_url and may_have_expired(failure)):
            raise
        page_url = source.page_url

    # Loaded here: most downloads never need it.
    from queue_app.downloaders import from_page

    def fetch(found: Source) -> Downloaded:
        return _download(fetcher, found, folder, limits, progress)

    page = Source(page_url, source.resolution)
    return from_page.download(fetcher, page, folder, limits, progress, fetch)


def _download(fetcher: Fetcher, source: Source, folder: Path, limits: Limits, progress: ProgressSink) -> Downloaded:
    retries = Retries(limits)
    kept = direct.resume(fetcher, source, folder, limits, progress, retries) or hls.finished(source, folder)
    if kept:
        return kept
    try:
        answer, source = _open_any(fetcher, source, progress, retries)
    except (Forbidden, Gone) as failure:
        if may_have_expired(failure) and hls.began(source, folder):
            raise ExpiredUrl(f"{failure} It gave a part of the stream before.") from failure
        raise
    with answer:
        if answer.is_page() and suffix(source.url) not in MEDIA_SUFFIXES:
            raise WebPage(f"{display_url(answer.url)} answered a web page, not a video.")
        if answer.is_playlist() or _is_playlist_url(source.url) or _is_playlist_url(answer.url):
            if not answer.is_playlist():
                answer.check_is_media()
            direct.forget(folder)
            return hls.download(fetcher, source, answer, folder, limits, progress)
        hls.forget(folder)
        return direct.download(fetcher, source, answer, folder, limits, progress, retries)


def _open_any(fetcher: Fetcher, source: Source, progress: ProgressSink, retries: Retries) -> tuple[Answer, Source]:
    """The answer of the source, or if it gives none of its first mirror that does, and the source as from there.

    When nobody gives one, the source's failure is raised, unless only a mirror's leaves hope.
    """
    try:
        return _open(fetcher, source, progress, retries), source
    except Failure as failure:
        hopeful = None
        for url in source.mirrors:
            try:
                return _open(fetcher, source.at(url), progress, retries), source.at(url)
            except Failure as other:
                hopeful = hopeful or (None if other.permanent else other)
        # The page may have a new URL; what a mirror may give later can wait until it hasn't.
        if hopeful and failure.permanent and not (source.page_url and may_have_expired(failure)):
            raise hopeful from failure
        raise


def _open(fetcher: Fetcher, source: Source, progress: ProgressSink, retries: Retries) -> Answer:
    """The sniffed answer of the source; one that is cut within its first bytes is asked for again."""
    while True:
        progress(0, None)
        answer = Answer.open(fetcher, source.url, headers=source.headers, decode=True)
        try:
            answer.sniff()
        except Cut as cut:
            answer.close()
            retries.use(cut_failure(cut, answer.length, len(answer.head)))
        except BaseException:
            answer.close()
            raise
        else:
            return answer


def _is_playlist_url(url: str) -> bool:
    return PurePosixPath(urlsplit(url).path).suffix.lower() in _PLAYLIST_SUFFIXES


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink(missing_ok=True)
