"""What of `/proxy` is left to the nginx in front: bytes that are named as such, from where plain bytes came before.

nginx can't judge an answer once it has begun: it would pass on a body that is compressed, a part that nobody asked
for, or a playlist under a segment's name. So the first one of a folder is fetched by Python, with all rules of
`upstream`, and nginx gets the others of the same kind for a while after it was plain. What it finds to be no plain
success comes back to Python (`accel.wanted` is False then).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse

from archive_site.addresses import Policy, check_url
from storage_app.playback import accel
from storage_app.playback.upstream_headers import Sent

TRUSTED_SECONDS = 600.0
"""For which a folder is taken to hold plain bytes, after some came from it."""
_FOLDERS = 2000  # that are remembered by one process

_MEDIA = (
    ".ts", ".m2ts", ".mts", ".m4s", ".mp4", ".m4v", ".m4a", ".m4f", ".cmfv", ".cmfa", ".aac", ".ac3", ".ec3", ".mp3",
    ".flac", ".ogg", ".opus", ".webm", ".mkv", ".mov", ".avi",
)  # fmt: skip


class PlainFolders:
    """From which folders plain bytes came lately, by origin, path and the files' extension. For one event loop."""

    def __init__(self, most: int = _FOLDERS) -> None:
        self._until: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._most = most

    def holds(self, url: str) -> bool:
        """Is `url` in one of them?"""
        return self._until.get(_folder(url), 0.0) > time.monotonic()

    def came(self, url: str) -> None:
        """Plain bytes, and from `url` itself: it didn't redirect."""
        folder = _folder(url)
        self._until[folder] = time.monotonic() + TRUSTED_SECONDS
        self._until.move_to_end(folder)
        if len(self._until) > self._most:
            self._until.popitem(last=False)

    def forget(self, url: str) -> None:
        """Until something plain comes from there again."""
        self._until.pop(_folder(url), None)


plain_folders = PlainFolders()
"""What this process has seen."""


async def left_to_nginx(
    request: HttpRequest, url: str, sent: Sent, policy: Policy, headers: Mapping[str, str]
) -> HttpResponse | None:
    """The answer that leads nginx to `url`, with these `headers` for the viewer; None where Python has to fetch it.

    Raises AddressRefused.
    """
    if not accel.wanted(request) or sent.conditional:
        return None
    check_url(url, policy)
    if not urlsplit(url).path.lower().endswith(_MEDIA) or not plain_folders.holds(url):
        return None
    try:
        address = await accel.checked_address(url, policy)
        if address is None:
            return None
        part = {"byte_range": sent.headers.get("Range", ""), "if_range": sent.headers.get("If-Range", "")}
        return accel.remote_response(url, address, headers, foreign=True, **part)
    except (OSError, ValueError):
        # The name doesn't resolve, or the URL isn't one for nginx: Python finds out what to say.
        return None


def _folder(url: str) -> tuple[str, str, str]:
    parts = urlsplit(url)
    folder, _, name = parts.path.rpartition("/")
    return f"{parts.scheme}://{parts.netloc}", folder, name.rpartition(".")[2].lower()
