"""What the API's tests share."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from tests.environment import TRIGGER_TOKEN

VIDEO: dict[str, Any] = {
    "mal_id": 55825,
    "episode": 1,
    "provider": "animasu",
    "video_url": "https://93.184.216.34/video.mp4",
    "resolution": "720p",
}

LEASE = timedelta(seconds=30)

Send = Callable[..., Any]


@pytest.fixture
def send(db: None) -> Send:
    """POST /trigger with the right token; a body that isn't bytes is sent as JSON."""

    def post(body: Any, token: str = TRIGGER_TOKEN, **kwargs: Any) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        kwargs.setdefault("content_type", "application/json")
        headers = {"Authorization": f"Bearer {token}"}
        return Client().post(kwargs.pop("path", "/trigger"), data, headers=headers, **kwargs)

    return post


@pytest.fixture
def refuse(send: Send) -> Callable[..., Any]:
    """POST the standard video with these changes; its 400 answer's fields."""

    def post(**changes: Any) -> Any:
        answer = send({**VIDEO, **changes})
        assert answer.status_code == 400, answer.content
        return answer.json()

    return post
