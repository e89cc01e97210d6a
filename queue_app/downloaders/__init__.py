"""From a URL to one whole file on this host. Imports no models and no settings; `download` picks the
handler.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from archive_site.safe_http import Cut, Fetcher, Policy
from queue_app.downloaders import direct, hls
from queue_app.downloaders.answer import Answer, cut_failure
from queue_app.downloaders.base import Downloaded, Limits, Progress, ProgressSink, Retries, full_disk_as_failure
from queue_app.downloaders.part import Part
from queue_app.failures import Failure

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

    Goes on where an unfinished call for the same folder stopped, if the source still has the same bytes. What is left
    in the folder, and when, is said in `base`. Raises a `queue_app.failures.Failure` with a sentence for the operator
    (Gone, Forbidden, BadSource, Transient, TooLarge, DiskFull), and Cancelled if `progress` does.
    """
    with full_disk_as_failure(), Part(folder, limits, progress) as part, Fetcher(policy) as fetcher:
        try:
            return _download(fetcher, url, part, limits, progress, resolution)
        except Failure as failure:
            if failure.permanent:
                part.remove()
            raise


def _download(
    fetcher: Fetcher,
    url: str,
    part: Part,
    limits: Limits,
    progress: ProgressSink,
    resolution: str | None,
) -> Downloaded:
    retries = Retries(limits)
    if part.record and not part.record.playlist:
        resumed = direct.resume(fetcher, url, part, limits, progress, retries)
        if resumed:
            return resumed
        part.restart()
    elif part.whole and (part.whole.url, part.whole.resolution) == (url, resolution):
        return part.finish()
    with _open(fetcher, url, part, progress, retries) as answer:
        if answer.is_playlist() or _is_playlist_url(url) or _is_playlist_url(answer.url):
            if not answer.is_playlist():
                answer.check_is_media()
            return hls.download(fetcher, url, answer, part, limits, progress, resolution)
        return direct.download(fetcher, url, answer, part, limits, progress, retries)


def _open(fetcher: Fetcher, url: str, part: Part, progress: ProgressSink, retries: Retries) -> Answer:
    """The sniffed answer of `url`; one that is cut within its first bytes is asked for again."""
    while True:
        progress(part.done, None)
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
