"""What is to be resolved, and what it is called in the cache."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Wanted:
    """A URL as it is registered, for a resolution, by one resolver or any ("")."""

    url: str
    resolution: str | None = None
    resolver: str = ""

    @property
    def key(self) -> str:
        """SHA-256 in hex over resolver, resolution and URL, on lines of their own; so does offers_of_episode."""
        return hashlib.sha256(f"{self.resolver}\n{self.resolution or ''}\n{self.url}".encode()).hexdigest()
