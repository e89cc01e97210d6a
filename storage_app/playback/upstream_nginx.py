"""What of `/proxy` is left to the nginx in front: bytes that their name tells to be bytes.

nginx can't look into an answer to find a playlist in it, so only what is named as a segment or a video goes this way.
Whatever isn't a plain success comes back to Python (`accel.wanted` is False then), with all rules of `upstream`.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse

from archive_site.addresses import Policy, check_url
from storage_app.playback import accel
from storage_app.playback.upstream_headers import Sent

_MEDIA = (
    ".ts", ".m2ts", ".mts", ".m4s", ".mp4", ".m4v", ".m4a", ".m4f", ".cmfv", ".cmfa", ".aac", ".ac3", ".ec3", ".mp3",
    ".flac", ".ogg", ".opus", ".webm", ".mkv", ".mov", ".avi",
)  # fmt: skip


async def left_to_nginx(
    request: HttpRequest, url: str, sent: Sent, policy: Policy, headers: Mapping[str, str]
) -> HttpResponse | None:
    """The answer that leads nginx to `url`, with these `headers` for the viewer; None where Python has to fetch it.

    Raises AddressRefused.
    """
    if not accel.wanted(request) or sent.conditional or not urlsplit(url).path.lower().endswith(_MEDIA):
        return None
    check_url(url, policy)
    try:
        address = await accel.checked_address(url, policy)
        if address is None:
            return None
        part = {"byte_range": sent.headers.get("Range", ""), "if_range": sent.headers.get("If-Range", "")}
        return accel.remote_response(url, address, headers, foreign=True, **part)
    except (OSError, ValueError):
        # The name doesn't resolve, or the URL isn't one for nginx: Python finds out what to say.
        return None
