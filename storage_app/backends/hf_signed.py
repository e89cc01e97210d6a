"""The short-lived signed URL behind a file of a Hub, found with our token and read without it."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urljoin, urlsplit

from storage_app.backends.base import SignedUrl, StorageUnavailableError
from storage_app.backends.hf_client import HubClient
from storage_app.backends.hf_errors import translated

if TYPE_CHECKING:
    import httpx2

UNTOLD_SECONDS = 300.0
"""For which a URL is taken to be good that doesn't tell."""

_HOPS = 5
_SHA256 = re.compile(r"[0-9a-f]{64}")


def signed_url(hub: HubClient, repo_id: str, path: str) -> SignedUrl:
    """Asks the Hub once, and follows it as long as it stays on its own origin: our token never leaves that.

    A small text lies with the Hub itself: its URL comes with the header that holds our token. Raises StorageErrors.
    """
    with translated(hub.name):
        start = url = hub.resolve_url(repo_id, path)
        for _ in range(_HOPS):
            answer = _head(url, {**hub.headers, "Accept-Encoding": "identity"})
            if not answer.has_redirect_location:
                return _served_by_the_hub(hub, url, answer)
            target = urljoin(url, answer.headers["Location"])
            if urlsplit(target)[:2] != urlsplit(start)[:2]:
                size, etag = answer.headers.get("X-Linked-Size", ""), answer.headers.get("X-Linked-Etag", "")
                return SignedUrl(target, end_of(target, time.time()), {}, _number(size), _sha256(etag))
            url = target
        raise StorageUnavailableError(f"Hugging Face sends requests for {path} round in circles.")


def end_of(url: str, now: float) -> float:
    """When a signed URL stops being good (seconds since 1970), by what its query says."""
    query = {name.lower(): value for name, value in parse_qsl(urlsplit(url).query)}
    if expires := _number(query.get("expires", "")):
        return float(expires)
    begin, seconds = _amazon_time(query), _number(query.get("x-amz-expires", ""))
    if begin is not None and seconds is not None:
        return begin + seconds
    return now + UNTOLD_SECONDS


def _amazon_time(query: Mapping[str, str]) -> float | None:
    try:
        found = datetime.strptime(query.get("x-amz-date", ""), "%Y%m%dT%H%M%SZ")
    except ValueError:
        return None
    return found.replace(tzinfo=UTC).timestamp()


def _served_by_the_hub(hub: HubClient, url: str, answer: httpx2.Response) -> SignedUrl:
    from huggingface_hub.utils._http import hf_raise_for_status

    if answer.status_code == 404:
        hub.must_know_us()
    hf_raise_for_status(answer)
    size = _number(answer.headers.get("Content-Length", ""))
    return SignedUrl(url, time.time() + UNTOLD_SECONDS, {"Authorization": hub.headers["authorization"]}, size)


def _head(url: str, headers: Mapping[str, str]) -> httpx2.Response:
    from huggingface_hub.utils._http import get_session

    return get_session().request("HEAD", url, headers=dict(headers), follow_redirects=False)


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _sha256(etag: str) -> str | None:
    found = etag.removeprefix("W/").strip('"')
    return found if _SHA256.fullmatch(found) else None
