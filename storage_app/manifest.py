"""What lies beside every video, so that the store can be rebuilt from its accounts alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from storage_app.naming import VideoKey

if TYPE_CHECKING:
    from storage_app.models import StorageAccount

SCHEMA = 1
CONTENT_TYPE = "application/json"


class PlaceLike(Protocol):
    """Where a content lies on every account."""

    @property
    def repo(self) -> str:
        """Repository without the account's user name."""

    @property
    def path(self) -> str:
        """Path inside it."""


def build(
    key: VideoKey,
    *,
    place: PlaceLike,
    content: Mapping[str, Any],
    title: str,
    sidecars: Sequence[Mapping[str, Any]],
    primary: StorageAccount,
    stream_url: str,
    direct_url: str,
    source: Mapping[str, str],
) -> bytes:
    """The manifest of a video whose media lie at `place`. Equal facts give equal bytes."""
    facts = {
        "schema": SCHEMA,
        "video": {
            "mal_id": key.mal_id,
            "episode": key.episode,
            "provider": key.provider,
            "resolution": key.resolution,
            "title": title,
            "stream_url": stream_url,
            "direct_url": direct_url,
        },
        "primary": {"index": primary.index, "kind": primary.kind, "username": primary.username},
        "file": {"repo": place.repo, "path": place.path, **content},
        "sidecars": [dict(sidecar) for sidecar in sidecars],
        "source": dict(source),
    }
    return json.dumps(facts, sort_keys=True, ensure_ascii=False, indent=1).encode() + b"\n"
