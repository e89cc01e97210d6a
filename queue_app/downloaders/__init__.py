"""From a URL to one whole file on this host. Imports no models and no settings; `download` picks the
handler.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from archive_site.safe_http import Cut, Fetcher, Policy
from queue_app.downloaders import direct, hls
from queue_app.downloaders.answer import Answer, cut_failure
from queue_app.downloaders.base import Downloaded, Limits, Progress, ProgressSink, Retries

__all__ = ["Downloaded", "Limits", "Progress", "ProgressSink", "download"]

_PLAYLIST_SUFFIXES = {".m3u8", ".m3u"}


def download(
    url: str,
    folder: Path,
    *,
    resolution: str | None,
    policy: Policy,
    limits: Limits,
    progress: ProgressSink,
) -> Downloaded:
    """Fetch the video at `url` into the existing `folder`; `resolution` ("720p") chooses among HLS variants.

    On any failure what this call wrote is removed. Raises a `queue_app.failures.Failure` with a sentence for
    the operator (Gone, Forbidden, BadSource, Transient, TooLarge, DiskFull), and Cancelled if `progress`
    does.
    """
    before = set(folder.iterdir())
    try:
        with Fetcher(policy) as fetcher:
            return _download(fetcher, url, folder, resolution, limits, progress)
    except BaseException:
        with suppress(FileNotFoundError):  # a folder whose lease was lost may have been swept already
            for path in set(folder.iterdir()) - before:
                path.unlink(missing_ok=True)
        raise


def _download(
    fetcher: Fetcher,
    url: str,
    folder: Path,
    resolution: str | None,
    limits: Limits,
    progress: ProgressSink,
) -> Downloaded:
    retries = Retries(limits)
    with _open(fetcher, url, progress, retries) as answer:
        if answer.is_playlist() or _is_playlist_url(url) or _is_playlist_url(answer.url):
            if not answer.is_playlist():
                answer.check_is_media()
            return hls.download(fetcher, answer, folder, limits, progress, resolution)
        return direct.download(fetcher, url, answer, folder, limits, progress, retries)


def _open(fetcher: Fetcher, url: str, progress: ProgressSink, retries: Retries) -> Answer:
    """The sniffed answer of `url`; one that is cut within its first bytes is asked for again."""
    while True:
        progress(0, None)
        answer = Answer.open(fetcher, url, decode=True)
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
