"""Works with sources on a real origin, for tests of what players are told of them."""

from __future__ import annotations

from typing import Any

from django.test import Client

from queue_app.models import ResolvedSource
from queue_app.sources.registering import put_sources
from tests.environment import API_TOKEN

WORK, EPISODE = 7301234567890123456, 3
PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\nseg0.ts\n#EXT-X-ENDLIST\n"
BEARER = {"Authorization": f"Bearer {API_TOKEN}"}


def register(*sources: dict[str, Any], title: str = "A title") -> None:
    """These sources of the work's episode; what isn't said is animasu in 720p."""
    standard = {"episode": EPISODE, "provider": "animasu", "resolution": "720p"}
    put_sources(WORK, title, [{**standard, **source} for source in sources])


def ask(path: str = f"/api/v1/streaming/{WORK}/{EPISODE}") -> Any:
    """The streaming API's answer."""
    answer = Client().get(path)
    assert answer.status_code == 200, answer.content
    return answer.json()


def ways(provider: str = "animasu") -> list[dict[str, Any]]:
    """The ways to see the episode by this provider."""
    found: list[dict[str, Any]] = ask()["data"][provider]
    return found


def error_of(url: str) -> str:
    """Why this URL can't be resolved, as operators are told."""
    return ResolvedSource.objects.get(url=url).error
