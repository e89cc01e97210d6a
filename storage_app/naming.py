"""Names of stored files (CONTRACT §1.2) and the URLs that lead to them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True)
class VideoKey:
    """The natural key of a video. `resolution` None and no resolution are the same thing."""

    mal_id: int
    episode: int
    provider: str
    resolution: str | None

    def file_key(self, salt: str) -> str:
        """The first 32 hex digits of sha256("{salt}:{mal_id}:{episode}:{provider}:{resolution}")."""
        text = f"{salt}:{self.mal_id}:{self.episode}:{self.provider}:{self.resolution or ''}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def repo(self, prefix: str) -> str:
        """The work's repository, without the account's user name."""
        return f"{prefix}-{self.mal_id}"

    def path(self, salt: str) -> str:
        """The file's path inside the repository."""
        return f"{self.mal_id}/ep{self.episode}/{self.file_key(salt)}.mp4"

    def stream_path(self) -> str:
        """The path of the URL that players are given; without a resolution its last segment is left out."""
        return f"/stream/{self._segments()}"

    def watch_path(self) -> str:
        """The path of the page that plays it."""
        return f"/watch/{self._segments()}"

    def _segments(self) -> str:
        segments = [str(self.mal_id), str(self.episode), quote(self.provider, safe="")]
        if self.resolution is not None:
            segments.append(quote(self.resolution, safe=""))
        return "/".join(segments)
