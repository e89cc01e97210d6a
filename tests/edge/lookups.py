"""An archive that answers the Worker's look-ups (`GET /api/v1/store/…`) as a test says."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

from tests.edge.table_origin import TableOrigin
from tests.servers.origin import Origin

TOKEN = "tests-edge-token"
KEY = "55825/1/animasu/720p"
SECRET = "X-Sig=secret"
"""In the query of every copy's URL."""


class Lookups(TableOrigin):
    """Knows one video, KEY; its copies lie on `origin`."""

    def __init__(self, origin: Origin) -> None:
        super().__init__()
        self.origin = origin

    def archived(self, content: bytes, *names: str, seconds: float = 600, **more: Any) -> None:
        """The video is archived, with copies at these paths of the origin. `more` replaces what is said of it."""
        told = {
            "status": "archived",
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "content_type": "video/mp4",
            "last_modified": 1_760_000_000,
            "valid_until": int(time.time() + seconds),
            "copies": [{"kind": "s3", "url": self.origin.put(f"/{name}", content) + f"?{SECRET}"} for name in names],
        }
        self.says(200, told | more)

    def source(self, url: str, seconds: float = 600) -> None:
        """It is not archived, and can be played from there."""
        until = int(time.time() + seconds)
        self.says(200, {"status": "source", "url": url, "queue_status": "pending", "valid_until": until})

    def says(self, status: int, told: dict[str, Any], **headers: str) -> None:
        """This is the answer, from now on."""
        given = {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
        self.play({f"/api/v1/store/{KEY}": {"status": status, "headers": given, "body": json.dumps(told)}})

    def breaks(self) -> None:
        """It closes every connection without a word."""
        self.play({f"/api/v1/store/{KEY}": {"closes": True}})
