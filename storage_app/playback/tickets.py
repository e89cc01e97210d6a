"""Links to `/download/ID`: `?exp&kid&sig`, signed as kind `download` with the video's id as scope (see signing.py)."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from uuid import UUID

from django.conf import settings

from storage_app.playback.signing import Key, Refused
from storage_app.playback.urls import signer

KIND = "download"


def download_url(video_id: UUID) -> tuple[str, int]:
    """A link to this archived video as a file, and when it ends (seconds since 1970): after PROXY_URL_HOURS."""
    until = signer()
    key, expires = until.key, until.expires
    query = f"exp={expires}&kid={key.kid}&sig={key.sign(KIND, expires, str(video_id))}"
    return f"{settings.PUBLIC_URL}/download/{video_id}?{query}", expires


def check(video_id: UUID, query: Mapping[str, str], now: float) -> None:
    """Is this link ours, and still good at `now`? Raises Refused: 403, or 410 when it has expired."""
    exp, kid, sig = (query.get(name, "") for name in ("exp", "kid", "sig"))
    if not exp or not kid or not sig:
        raise Refused(403, "unsigned", "This link is not signed. Ask /api/videos/ID/download for one.")
    keys = {key.kid: key for key in map(Key, (*settings.PROXY_SIGNING_KEYS_OLD, settings.PROXY_SIGNING_KEY))}
    key = keys.get(kid)
    if key is None or not re.fullmatch(r"[1-9][0-9]{0,11}", exp):
        raise Refused(403, "bad_signature", "The signature of this link is not ours.")
    if not hmac.compare_digest(key.sign(KIND, int(exp), str(video_id)).encode(), sig.encode()):
        raise Refused(403, "bad_signature", "The signature of this link is not ours.")
    if int(exp) <= now:
        raise Refused(410, "expired", "This link has expired. Ask /api/videos/ID/download for a new one.")
