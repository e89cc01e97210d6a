"""Headers between a viewer and an upstream: the few that are understood, each in the one form it may have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.http import HttpRequest
from django.utils.http import parse_http_date_safe

from storage_app.playback import content_types

if TYPE_CHECKING:
    from archive_site.async_http import Upstream

_RANGE = re.compile(r"bytes=[ \t]*(?P<first>[0-9]{0,18})-(?P<last>[0-9]{0,18})[ \t]*", re.IGNORECASE)
_CONTENT_RANGE = re.compile(
    r"bytes (?P<first>[0-9]{1,18})-(?P<last>[0-9]{1,18})/(?P<size>[0-9]{1,18}|\*)", re.IGNORECASE
)
_NO_RANGE = re.compile(r"bytes \*/[0-9]{1,18}", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]{1,18}")
_SECONDS = re.compile(r"[0-9]{1,9}")
_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]*"')
_CONDITIONS = ("If-None-Match", "If-Modified-Since")


class Unusable(Exception):
    """The upstream's answer is a success that can't be passed on; the text says why, to the viewer."""


@dataclass(frozen=True)
class Sent:
    """What of a viewer's request the upstream is told."""

    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, request: HttpRequest, *, conditions: bool) -> Sent:
        """One range, if the viewer asks for one that makes sense (RFC 9110 §14.2), and `conditions` if wanted.

        A range whose If-Range the upstream can't be asked is none (§13.1.5): it could be a part of something else than
        the viewer has.
        """
        names = _CONDITIONS if conditions else ()
        headers = {name: value for name in names if (value := request.headers.get(name, "")) and value.isprintable()}
        span = one_range(request.headers.get("Range", "")) if request.method == "GET" else None
        same_as = request.headers.get("If-Range", "").strip()
        if span is not None and (not same_as or (conditions and _is_validator(same_as))):
            headers["Range"] = span
            if same_as:
                headers["If-Range"] = same_as
        return cls(headers)

    @property
    def conditional(self) -> bool:
        """May the answer be 304?"""
        return any(name in self.headers for name in _CONDITIONS)

    @property
    def first(self) -> int | None:
        """The byte that the range begins with; None when it counts from the end, or there is none."""
        match = _RANGE.fullmatch(self.headers.get("Range", ""))
        return int(match["first"]) if match and match["first"] else None


def one_range(header: str) -> str | None:
    """`bytes=first-last` of a header that asks for exactly one range of bytes; None for any other."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or match["first"] == match["last"] == "":
        return None
    if match["first"] and match["last"] and int(match["last"]) < int(match["first"]):
        return None
    return f"bytes={match['first']}-{match['last']}"


def require_usable(upstream: Upstream, sent: Sent) -> None:
    """Raises Unusable for a body that is compressed, and for a part that isn't the one that was asked for."""
    codings = upstream.headers.get("Content-Encoding", "").strip().lower()
    if codings not in {"", "identity"}:
        raise Unusable("The source sends its answer compressed, which it was not asked to do.")
    if upstream.status != 206:
        return
    part = _CONTENT_RANGE.fullmatch(upstream.headers.get("Content-Range", "").strip())
    if part is None or "Range" not in sent.headers or sent.first not in {None, int(part["first"])}:
        raise Unusable("The source sends another part than it was asked for.")
    length = upstream.headers.get("Content-Length")
    if length is not None and length != str(int(part["last"]) - int(part["first"]) + 1):
        raise Unusable("The source sends another part than it was asked for.")


def passed_on(upstream: Upstream, *, whole: bool) -> dict[str, str]:
    """What a player has to know of the body; with `whole` of all of it, where only a part was fetched."""
    given = upstream.headers
    headers = {"Content-Type": content_types.passed_on(given.get("Content-Type", ""))}
    part = _CONTENT_RANGE.fullmatch(given.get("Content-Range", "").strip()) if upstream.status == 206 else None
    if part is not None and whole:
        if part["size"] != "*":
            headers["Content-Length"] = part["size"]
    else:
        if part is not None:
            headers["Content-Range"] = part[0].lower()
        # A chunked body's length is what came, whatever is said beside it (RFC 9112 §6.3).
        if "Transfer-Encoding" not in given and _NUMBER.fullmatch(given.get("Content-Length", "")):
            headers["Content-Length"] = given["Content-Length"]
    if (ranges := given.get("Accept-Ranges", "").strip().lower()) in {"bytes", "none"}:
        headers["Accept-Ranges"] = ranges
    return headers


def whole_size(upstream: Upstream) -> int | None:
    """Of what a part came of, if that is told."""
    part = _CONTENT_RANGE.fullmatch(upstream.headers.get("Content-Range", "").strip())
    return int(part["size"]) if part is not None and part["size"] != "*" else None


def validators(given: Mapping[str, str]) -> dict[str, str]:
    """ETag and Last-Modified, where they are well-formed."""
    names = (name for name in ("ETag", "Last-Modified") if _is_validator(given.get(name, "").strip()))
    return {name: given[name].strip() for name in names}


def size_told(upstream: Upstream) -> dict[str, str]:
    """Content-Range of a 416 answer."""
    value = upstream.headers.get("Content-Range", "").strip()
    return {"Content-Range": value.lower()} if upstream.status == 416 and _NO_RANGE.fullmatch(value) else {}


def retry_after(upstream: Upstream) -> dict[str, str]:
    """Retry-After, where it is a number of seconds."""
    value = upstream.headers.get("Retry-After", "").strip()
    return {"Retry-After": value} if _SECONDS.fullmatch(value) else {}


def _is_validator(value: str) -> bool:
    return _ETAG.fullmatch(value) is not None or (value.isascii() and parse_http_date_safe(value) is not None)
