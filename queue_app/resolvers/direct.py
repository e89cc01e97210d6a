"""The resolver `direct`: a URL that answers media or a playlist by itself."""

from __future__ import annotations

from archive_site.safe_http import Fetcher, FetchError
from queue_app.downloaders.answer import Answer, NotMedia
from queue_app.failures import Failure
from queue_app.resolvers import Context, NoVideo, Resolved


def direct(url: str, context: Context) -> Resolved | None:
    """The URL itself; None for a page or other text. Redirects are left to whoever fetches it: they may be short-lived.

    Raises NoVideo when it can't be fetched.
    """
    try:
        with Fetcher(context.policy) as fetcher, Answer.open(fetcher, url) as answer:
            answer.sniff()
            if not answer.is_playlist():
                answer.check_is_media()
    except NotMedia:
        return None
    except (Failure, FetchError) as failure:
        raise NoVideo(str(failure)) from failure
    return Resolved(url)
