"""The resolver `yt-dlp`: a page that shows its video to its generic extractors. No browser is started for viewers."""

from __future__ import annotations

from queue_app.downloaders import page
from queue_app.failures import Failure
from queue_app.resolvers import Context, NoVideo, Resolved


def yt_dlp(url: str, context: Context) -> Resolved | None:
    """The page's video, the height nearest to the wanted one. Raises NoVideo when there is none."""
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
    return Resolved(found.url)
