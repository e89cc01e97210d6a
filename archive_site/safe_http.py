"""The only way out to a URL that came from outside (DESIGN, invariant 7).

The address is checked where the socket is opened, and the socket is opened to the very address that was checked, so a
name that changes its mind between check and connection (DNS rebinding) gains nothing. Each redirect is a request of its
own and is checked like the first. `requests_hardened` does the same one level higher, but judges and tries the first
address only and has no allow-list by host and port.

Nothing is carried from one host to another: there are no cookies but those that the caller sends, and of the caller's
headers a redirect to another origin keeps only what says nothing about whom we are. https may redirect to http, as it
does for browsers that are sent there by a link; what is secret stays behind then too.

What can go wrong is one of: AddressRefused, TooManyRedirects, Unreachable (no answer), Cut (an answer that stopped
early) and BodyTooLarge; nothing of requests or urllib3 escapes from here.
"""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
import urllib3
from requests.utils import requote_uri

from archive_site.addresses import Policy, check_url, display_url, resolve_and_check
from archive_site.bodies import read_all, read_body
from archive_site.connections import CheckedAdapter
from archive_site.fetch_errors import (
    AddressRefused,
    BodyTooLarge,
    Cut,
    FetchError,
    TooManyRedirects,
    Unreachable,
    reason,
)
from archive_site.proxy_route import Proxy

__all__ = [
    "AddressRefused",
    "BodyTooLarge",
    "Cut",
    "FetchError",
    "Fetcher",
    "Policy",
    "TooManyRedirects",
    "Unreachable",
    "check_url",
    "display_url",
    "read_all",
    "read_body",
    "resolve_and_check",
    "same_origin",
]

_REDIRECTS = {301, 302, 303, 307, 308}
_OWN_HEADERS = {"User-Agent": "Reelkeep", "Accept": "*/*", "Accept-Encoding": "identity"}

# What frames a message, or names its target, is decided here alone; unpacking is for what comes unasked only.
_NEVER_FOREIGN = {
    "accept-encoding", "connection", "content-length", "expect", "host", "keep-alive", "proxy-authorization",
    "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
}  # fmt: skip
# Any other header may be a credential of the first origin under a name of its own.
_KEPT_ACROSS_ORIGINS = {"accept", "accept-language", "if-range", "range", "referer", "user-agent"}


class Fetcher:
    """Connections under one policy, kept for reuse. `get` may be called from several threads at once.

    Raises ValueError when the policy's proxy isn't a proxy's URL.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        if policy.proxy:
            Proxy.parse(policy.proxy)
        # Without a session of requests there are no cookies kept, no proxies and .netrc of the environment, and no
        # redirect whose body is read to its end first.
        self._adapter = CheckedAdapter(policy)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections kept for reuse."""
        self._adapter.close()

    def get(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        range_start: int | None = None,
        range_end: int | None = None,
    ) -> requests.Response:
        """The answer to GET, its body unread (see `read_body`); close it. Any HTTP status is an answer.

        `range_start` asks for the bytes from there to `range_end`, which is included (None: to the end; RFC 9110
        §14.1.2). Redirects are followed; the last URL is `response.url`. Raises AddressRefused, TooManyRedirects,
        Unreachable.
        """
        sent = {name: value for name, value in (headers or {}).items() if name.lower() not in _NEVER_FOREIGN}
        if range_start is not None:
            sent["Range"] = f"bytes={range_start}-{'' if range_end is None else range_end}"
        check_url(url, self.policy)
        for _ in range(self.policy.max_redirects + 1):
            response = self._one_hop(url, sent)
            target = _redirect_target(response)
            if target is None:
                return response
            response.close()
            check_url(target, self.policy)
            sent = carried(sent, url, target)
            url = target
        raise TooManyRedirects(f"{display_url(url)} redirects more than {self.policy.max_redirects} times.")

    def _one_hop(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        timeout = (self.policy.connect_timeout, self.policy.first_byte_timeout)
        try:
            request = requests.Request("GET", url, headers=_with_own(_referring(headers, url))).prepare()
            return self._adapter.send(request, stream=True, timeout=timeout)
        # requests lets some of what urllib3 and idna raise through as it is.
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            http.client.HTTPException,
            OSError,
            ValueError,
        ) as error:
            raise Unreachable(f"{display_url(url)} can't be reached: {reason(error)}.") from error


def same_origin(url: str, other: str) -> bool:
    """Have both the same scheme, host and port? A malformed URL has no origin."""
    try:
        return _origin(urlsplit(url)) == _origin(urlsplit(other))
    except ValueError:
        return False


def _with_own(headers: Mapping[str, str]) -> dict[str, str]:
    given = {name.lower() for name in headers}
    return {**{name: value for name, value in _OWN_HEADERS.items() if name.lower() not in given}, **headers}


def carried(headers: Mapping[str, str], source: str, target: str) -> dict[str, str]:
    """Those of the headers that go along when `source` redirects to `target`."""
    before, after = _origin(urlsplit(source)), _origin(urlsplit(target))
    upgraded = (before[0], before[2], after[0], after[2]) == ("http", 80, "https", 443) and before[1] == after[1]
    if before == after or upgraded:
        return dict(headers)
    return {name: value for name, value in headers.items() if name.lower() in _KEPT_ACROSS_ORIGINS}


def _referring(headers: Mapping[str, str], url: str) -> dict[str, str]:
    """`headers` with a Referer cut to what `url` may know of it, as browsers do.

    See strict-origin-when-cross-origin in W3C Referrer Policy, §3.7.
    """
    return {
        name: value if name.lower() != "referer" else cut
        for name, value in headers.items()
        if name.lower() != "referer" or (cut := _cut_referer(value, url))
    }


def _cut_referer(referer: str, url: str) -> str:
    try:
        page, target = urlsplit(referer), urlsplit(url)
        if page.scheme not in {"http", "https"} or (page.scheme, target.scheme) == ("https", "http"):
            return ""
        if _origin(page) == _origin(target):
            return page._replace(netloc=page.netloc.rpartition("@")[2], fragment="").geturl()
        return f"{page.scheme}://{page.netloc.rpartition('@')[2]}/"
    except ValueError:
        return ""


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    """Scheme, host and port (RFC 6454 §4)."""
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _redirect_target(response: requests.Response) -> str | None:
    location = response.headers.get("Location")
    if response.status_code not in _REDIRECTS or not location:
        return None
    # Servers send UTF-8 where RFC 9110 §10.2.2 allows ASCII only; http.client reads headers as Latin-1.
    location = location.encode("latin-1", "replace").decode("utf-8", "replace")
    try:
        return requote_uri(urljoin(response.url, location))
    except (ValueError, requests.RequestException):
        response.close()
        raise AddressRefused(f"{display_url(response.url)} redirects to a malformed URL.") from None
