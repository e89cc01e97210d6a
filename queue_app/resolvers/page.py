"""The resolver `yt-dlp`: a page that shows its video to its generic extractors. No browser is started for viewers."""

from __future__ import annotations

from archive_site.safe_http import display_url
from queue_app.downloaders import page
from queue_app.failures import Failure
from queue_app.resolvers import Context, NoVideo, Resolved
from queue_app.resolvers.direct import direct


def yt_dlp(url: str, context: Context) -> Resolved | None:
    """The page's video, the height nearest to the wanted one.

    Raises NoVideo when there is none, or none that is given to somebody who comes without the page's cookies and
    referrer, as players do.
    """
    try:
        found = page.resolve(
            url,
            policy=context.policy,
            resolution=context.resolution,
            progress=lambda _done, _total: None,
            seconds=context.seconds,
            watch=False,
        )
    except Failure as failure:
        raise NoVideo(str(failure)) from failure
    if direct(found.url, context) is None:
        raise NoVideo(f"The page led to {display_url(found.url)}, which is no video.")
    return Resolved(found.url)
