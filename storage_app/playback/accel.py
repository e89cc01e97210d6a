"""Leaves the bytes of an answer to the nginx in front of this site (deploy/nginx/reelkeep.conf).

An answer of Python's says by `X-Accel-Redirect` where the bytes are: in a file of this host, or at an upstream, whose
address was checked here and is connected to as it is. What nginx can't do (a redirect, any status but 200 and 206, a
file that it may not read) comes back as a second request, for which `wanted` is False.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

import requests
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from archive_site.addresses import Endpoint, Policy, host_and_port
from archive_site.async_connect import addresses_of

HEADER = "X-Reelkeep-Accel"
"""Of requests: `on` when nginx asks and would send the bytes, `off` when it asks us to. nginx overwrites a client's."""

LOOK_UP_SECONDS = 1.5
"""In which a name has to resolve; who fetches by itself waits longer for it, and holds up nobody."""

# nginx would judge these once more, by what the file or the upstream says instead of by what we know of the video.
_JUDGED_TWICE = ("If-Match", "If-Unmodified-Since")
_MADE_BY_NGINX = {"content-length", "content-range"}
_OF_THE_UPSTREAM = {"content-type", "etag", "last-modified", "accept-ranges"}
# nginx would keep these when it comes back for another answer, which has its own: it is told them by names it knows.
_KEPT_FOR_GOOD = {"cache-control", "content-disposition", "accept-ranges"}


def wanted(request: HttpRequest) -> bool:
    """May the bytes of the answer be left to nginx?"""
    return (
        settings.X_ACCEL
        and request.method == "GET"
        and request.headers.get(HEADER) == "on"
        and not any(name in request.headers for name in _JUDGED_TWICE)
    )


def file_response(path: Path, headers: Mapping[str, str], status: int) -> HttpResponse:
    """A file of this host, of which nginx sends all for status 200, and for 206 what the request's Range asks for.

    `headers` are the answer's; nginx makes Content-Length and Content-Range itself.
    """
    folder = "part" if status == 206 else "whole"
    target = f"/_reelkeep/{folder}{quote(os.fsencode(path.absolute()))}"
    return _answer(target, {name: value for name, value in headers.items() if name.lower() not in _MADE_BY_NGINX})


def remote_response(
    url: str,
    address: Endpoint,
    headers: Mapping[str, str],
    *,
    byte_range: str = "",
    if_range: str = "",
    foreign: bool = False,
) -> HttpResponse:
    """What lies at an upstream: nginx connects to `address`, one that the host of `url` was found to have and that was
    checked, and asks for `byte_range` if that is given. Neither `url` nor what the upstream says of itself is shown.

    `headers` are the answer's, Content-Type, ETag and Last-Modified among them. Of a `foreign` upstream these (and
    Accept-Ranges) are taken from what it answers, as for /proxy. Raises ValueError for a URL that is no http(s) URL.
    """
    dropped = _MADE_BY_NGINX | (_OF_THE_UPSTREAM if foreign else set())
    kept = {name: value for name, value in headers.items() if name.lower() not in dropped}
    return _answer(
        "/_reelkeep/remote",
        kept
        | _where(url, address)
        | {
            "X-Reelkeep-Kind": "foreign" if foreign else "given",
            "X-Reelkeep-Range": byte_range,
            "X-Reelkeep-If-Range": if_range,
        },
    )


async def checked_address(url: str, policy: Policy) -> Endpoint | None:
    """The address that nginx may connect to for a stranger's URL; None when it can't be nginx that connects.

    Raises AddressRefused, TimeoutError, socket.gaierror.
    """
    host, port = host_and_port(url)
    if policy.proxy and (host, port) not in policy.allow_hosts:
        return None
    endpoints = await addresses_of(host, port, policy, LOOK_UP_SECONDS)
    return endpoints[0] if endpoints else None


async def trusted_address(url: str, policy: Policy) -> Endpoint | None:
    """The same for an account of an operator, which may be in a private network. Raises TimeoutError, gaierror."""
    endpoints = await addresses_of(*host_and_port(url), policy, LOOK_UP_SECONDS, trusted=True)
    return endpoints[0] if endpoints else None


def _where(url: str, address: Endpoint) -> dict[str, str]:
    prepared = requests.PreparedRequest()
    try:
        prepared.prepare_url(url, None)
    except requests.RequestException:
        raise ValueError("This is no URL that nginx could fetch.") from None
    parts = urlsplit(prepared.url or "")
    literal, port = address.sockaddr[0], address.sockaddr[1]
    place = f"[{literal}]" if ":" in literal else literal
    target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    if not target.isascii() or any(character <= " " or character == "\x7f" for character in target):
        raise ValueError("The URL holds characters that nginx would send as they are.")
    return {
        "X-Reelkeep-Address": f"{parts.scheme}://{place}:{port}{target}",
        "X-Reelkeep-Host": parts.netloc.rpartition("@")[2],
        "X-Reelkeep-Name": (parts.hostname or "").rstrip("."),
    }


def _answer(target: str, headers: Mapping[str, str]) -> HttpResponse:
    told = {f"X-Reelkeep-{name}" if name.lower() in _KEPT_FOR_GOOD else name: value for name, value in headers.items()}
    answer = HttpResponse(headers={**told, "X-Accel-Redirect": target})
    if not any(name.lower() == "content-type" for name in headers):
        del answer["Content-Type"]
    return answer
