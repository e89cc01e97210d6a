"""The key that signs playback URLs where none is set."""

from __future__ import annotations

import hmac


def derived(secret: str) -> str:
    """HMAC-SHA256(secret, "reelkeep proxy signing v1") in hex; "" without a secret. The Worker derives the same."""
    return hmac.digest(secret.encode(), b"reelkeep proxy signing v1", "sha256").hex() if secret else ""
