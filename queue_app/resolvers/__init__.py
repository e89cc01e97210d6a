"""Resolvers: from the URL that a source is registered with to one that a player can open.

A resolver is a callable that takes the URL and a `Context`, and returns a `Resolved` (or just its URL), or None when
the URL isn't its business. Two are bundled: `direct` and `yt-dlp`. Another one is any installed package with an entry
point in the group `reelkeep.resolvers`:

    [project.entry-points."reelkeep.resolvers"]
    example = "my_package:resolve"

It runs in a process of its own, which is killed when its time is over, and its answer is checked like any other foreign
URL. docs/sources.md is for its authors. No table is known here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from archive_site.safe_http import Fetcher, Policy, read_all

__all__ = ["GROUP", "Answer", "Context", "NoVideo", "Resolved", "Resolver"]

GROUP = "reelkeep.resolvers"
PAGE_BYTES = 4 * 1024 * 1024


class NoVideo(Exception):
    """There is no video to be had from this URL. The text says why, for operators, and holds no secret."""


@dataclass(frozen=True)
class Resolved:
    """What a player can open: an http(s) URL of a file or a playlist."""

    url: str
    seconds: float | None = None
    """For how long it is good, where that is known; it is asked for anew after 20 minutes at the latest."""


@dataclass(frozen=True)
class Answer:
    """What a URL answered: its body whole, and where redirects led."""

    url: str
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """The body as UTF-8, with what isn't replaced."""
        return self.body.decode("utf-8", "replace")


@dataclass(frozen=True)
class Context:
    """What a resolver is given beside the URL."""

    policy: Policy
    resolution: str | None
    """The one that is wanted ("720p"), where there are several; None: as it comes."""
    seconds: float
    """What is left to it. Afterwards it is killed."""

    def get(self, url: str, headers: Mapping[str, str] | None = None, limit: int = PAGE_BYTES) -> Answer:
        """The answer to GET, its body up to `limit` bytes; any HTTP status is an answer.

        Raises AddressRefused, TooManyRedirects, Unreachable, Cut, BodyTooLarge (all FetchError): only public addresses
        are fetched from, at each redirect too.
        """
        with Fetcher(self.policy) as fetcher:
            response = fetcher.get(url, headers=headers)
            try:
                body = read_all(response, limit)
                names = {name.lower(): value for name, value in response.headers.items()}
                return Answer(str(response.url), response.status_code, names, body)
            finally:
                response.close()


Resolver = Callable[[str, Context], Resolved | str | None]
