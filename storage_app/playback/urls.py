"""The URLs that players are given."""

from __future__ import annotations

import math
import time

from django.conf import settings

from storage_app.naming import VideoKey
from storage_app.playback.signing import Keyring, Signer

_STEP = 600  # links made within ten minutes are the same link, so that caches and players see one


def playback_base() -> str:
    """Where players go: the edge when a Worker is configured, else this site. Without a slash at its end."""
    return str(settings.CLOUDFLARE_WORKERS_URL or settings.PUBLIC_URL)


def stream_url(key: VideoKey) -> str:
    """The video's one URL."""
    return playback_base() + key.stream_path()


def keyring() -> Keyring:
    """The keys of the settings. Raises ValueError when there is none (neither a key nor a salt is set)."""
    return Keyring(settings.PROXY_SIGNING_KEY, settings.PROXY_SIGNING_KEYS_OLD)


def signer() -> Signer:
    """Signs links that are good for PROXY_URL_HOURS from now, rounded up to ten minutes."""
    expires = math.ceil((time.time() + settings.PROXY_URL_HOURS * 3600) / _STEP) * _STEP
    return Signer(keyring().current, expires)


def proxy_url(url: str) -> str:
    """A link by which a player gets this upstream URL through `/proxy`."""
    return f"{playback_base()}/proxy?{signer().exact(url)}"
