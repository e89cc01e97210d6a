"""Signed `/proxy` URLs: whoever holds one may have that upstream fetched, until it expires, and nothing else.

`/proxy?exp=<seconds since 1970>&kid=<key id>&sig=<signature>[&vars=<variables>]&url=<encoded URL>`, with `url` last,
because players look for a media extension at the end. The signature is HMAC-SHA256 over lines of UTF-8 text

    v1 / kind / exp / scope [/ vars]

in base64url without padding. The scope is the exact, decoded URL (kind `exact`), or the URL up to the last slash of its
path (kind `directory`): one signature for all segments of a playlist. A signature that fits either is good. `vars` are
the values that a multivariant playlist hands on to its media playlists (EXT-X-DEFINE, RFC 8216bis §4.4.2.3), written
as a query string; a URL with them is always signed exactly. The Cloudflare Worker does the same in `signing.js`;
`tests/vectors/signing.json` holds both to it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

EXACT, DIRECTORY = "exact", "directory"
MAX_URL = 4096
"""Characters that a signed upstream URL may have."""

# A line break in a URL would make one signed text of two meanings; a lone surrogate has no UTF-8.
_UNSIGNABLE = re.compile("[\x00-\x20\x7f\ud800-\udfff]")
_NOT_PRINTABLE = re.compile(r"[^\x21-\x7e]")
_ENCODED = [(mark, f"%{ord(mark):02X}") for mark in "%!\"#$&'()*+,/:;<=>?@[\\]^`{|}"]  # the percent sign comes first
_EXPIRES = re.compile(r"0|[1-9][0-9]{0,11}")
_PARTS = re.compile(
    r"(?P<folder>https?://[^/?#\\]+/(?:[^?#\\]*/)?)(?P<name>[^/?#\\]*)(?![^?#])", re.IGNORECASE | re.ASCII
)
_DOT_SEGMENT = re.compile(r"/(?:\.|%2e){1,2}[;/]", re.IGNORECASE | re.ASCII)
_PLAIN_NAME = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9_.~-]*)?")
# What a server could take for a dot in front, or anywhere for a slash or for one more encoding; the look-alikes
# are those that Windows and Unicode's compatibility forms turn into one.
_LEAVES = re.compile(
    "^[ .;\u2024\u2025\u2026\ufe52\uff0e]"
    "|[\x00-\x1f\x7f/\\\\%\u00a5\u20a9\u2044\u2215\u2216\u29f5\u29f8\ufe68\ufe6a\uff05\uff0f\uff3c]"
)


class Refused(Exception):
    """This URL isn't signed by us, or no longer. `status` is that of the answer; `error` a word for programs."""

    def __init__(self, status: int, error: str, text: str) -> None:
        super().__init__(text)
        self.status, self.error = status, error


@dataclass(frozen=True)
class Key:
    """A signing key. Its id is told to everybody and says nothing about it."""

    secret: str = field(repr=False)

    @property
    def kid(self) -> str:
        """The first 8 hex digits of SHA-256("reelkeep kid:" + secret)."""
        return hashlib.sha256(f"reelkeep kid:{self.secret}".encode()).hexdigest()[:8]

    def sign(self, kind: str, expires: int, scope: str, variables: str = "") -> str:
        """The signature of one scope, until `expires` (seconds since 1970)."""
        lines = ["v1", kind, str(expires), scope, *([variables] if variables else [])]
        digest = hmac.digest(self.secret.encode(), "\n".join(lines).encode(), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


@dataclass(frozen=True)
class Grant:
    """What a good signature allows: this URL, with these variables, until `expires`."""

    url: str
    expires: int
    variables: str = ""


class Keyring:
    """The key that signs, and older ones that are still good. Raises ValueError without a key."""

    def __init__(self, current: str, older: Sequence[str] = ()) -> None:
        if not current or not all(older):
            raise ValueError("A signing key must not be empty.")
        self.current = Key(current)
        self._by_kid = {key.kid: key for key in (*map(Key, older), self.current)}

    def verify(self, query: Mapping[str, str], now: float) -> Grant:
        """What `/proxy`'s query parameters allow at `now`. Raises Refused: 403, 410 for what has expired, 400."""
        url, kid, sig, exp = (query.get(name, "") for name in ("url", "kid", "sig", "exp"))
        if not url:
            raise Refused(400, "bad_request", "The query parameter url is missing.")
        if not sig or not kid or not exp:
            raise Refused(403, "unsigned", "This URL is not signed. Ask this site for a link.")
        if len(url) > MAX_URL:
            raise Refused(400, "bad_request", f"The query parameter url is longer than {MAX_URL} characters.")
        grant = self._grant(url, kid, sig, exp, query.get("vars", ""))
        if grant is None:
            raise Refused(403, "bad_signature", "The signature of this URL is not ours.")
        if grant.expires <= now:
            raise Refused(410, "expired", "This link has expired. Ask this site for a new one.")
        return grant

    def _grant(self, url: str, kid: str, sig: str, exp: str, variables: str) -> Grant | None:
        key = self._by_kid.get(kid)
        if key is None or not _EXPIRES.fullmatch(exp) or _UNSIGNABLE.search(url) or _NOT_PRINTABLE.search(variables):
            return None
        expires = int(exp)
        good = _same(key.sign(EXACT, expires, url, variables), sig)
        folder = None if variables else directory(url)
        if folder is not None:
            good |= _same(key.sign(DIRECTORY, expires, folder), sig)
        return Grant(url, expires, variables) if good else None


class Signer:
    """Writes the query strings of links that all expire at the same time. Signatures of directories are kept."""

    def __init__(self, key: Key, expires: int) -> None:
        self.key, self.expires = key, expires
        self._kid = key.kid
        self._within: dict[str, str] = {}

    def exact(self, url: str, variables: str = "") -> str:
        """The query for this very URL. Spaces and control characters in it are percent-encoded first."""
        url = _UNSIGNABLE.sub(_signable, url)
        before = self._head(self.key.sign(EXACT, self.expires, url, variables))
        middle = f"&vars={percent_encoded(variables)}" if variables else ""
        return f"{before}{middle}&url={percent_encoded(url)}"

    def child(self, url: str) -> str:
        """The query for a URL that a playlist leads to: signed by its directory where it has one."""
        folder = directory(url)
        if folder is None or _UNSIGNABLE.search(url):
            return self.exact(url)
        return self.within(folder) + percent_encoded(url[len(folder) :])

    def within(self, folder: str) -> str:
        """The query for what lies directly in `folder` (as `directory` gives it), up to its percent-encoded name."""
        query = self._within.get(folder)
        if query is None:
            before = self._head(self.key.sign(DIRECTORY, self.expires, folder))
            query = self._within[folder] = f"{before}&url={percent_encoded(folder)}"
        return query

    def _head(self, signature: str) -> str:
        return f"exp={self.expires}&kid={self._kid}&sig={signature}"


def directory(url: str) -> str | None:
    """`url` up to the last slash of its path; None when it has no path, or one that could lead out of a directory."""
    match = _PARTS.match(url)
    if match is None or not _stays(match["name"]) or _DOT_SEGMENT.search(match["folder"]):
        return None
    return match["folder"]


def percent_encoded(text: str) -> str:
    """`text` with everything but RFC 3986's unreserved characters percent-encoded."""
    if not text.isascii() or _NOT_PRINTABLE.search(text):
        return quote(text, safe="")
    for mark, encoded in _ENCODED:  # five times as fast as `quote`, and of every link in a playlist
        if mark in text:
            text = text.replace(mark, encoded)
    return text


def _signable(match: re.Match[str]) -> str:
    return quote(match[0] if match[0].isascii() else "\ufffd")


def _stays(name: str) -> bool:
    """Whether no server could take this last part of a path for something outside of its directory."""
    if _PLAIN_NAME.fullmatch(name):
        return True
    try:
        return not _LEAVES.search(unquote(name, errors="strict"))
    except UnicodeDecodeError:
        return False


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode(errors="replace"))
