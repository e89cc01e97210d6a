"""What a contender is given to do, as JSON on its command line, and the growing of a file that is still downloaded."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

REPO, PATH = "weaboo-1", "1/ep1/0123456789abcdef0123456789abcdef.mp4"
_BLOCK = 1024 * 1024


@dataclass(frozen=True)
class Job:
    """Bring `file` to all of the accounts."""

    file: str
    sha256: str
    size: int
    memory: str
    """An empty folder for what the contender remembers."""
    result: str
    """A file that takes what it measured itself."""
    rate: int = 0
    """Bytes per second at which the file first comes in as a download; 0: it is there."""
    endpoint: str = ""
    users: tuple[str, ...] = ()
    buckets: tuple[tuple[str, str], ...] = ()
    """Endpoint and name of each bucket."""
    folder: str = ""
    """Of a local account."""
    options: dict[str, Any] = field(default_factory=dict)

    def as_argument(self) -> str:
        """For a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_argument(cls) -> Self:
        """Of this process."""
        fields = json.loads(sys.argv[1])
        buckets = tuple((endpoint, name) for endpoint, name in fields.pop("buckets"))
        return cls(**{**fields, "users": tuple(fields["users"]), "buckets": buckets})

    @property
    def local(self) -> Path:
        """Where the contender has the file: where it downloads it to, or where it lies already."""
        return Path(self.memory) / "download.mp4" if self.rate else Path(self.file)

    def ended(self, downloaded_at: float) -> None:
        """Say that all copies are confirmed."""
        Path(self.result).write_text(json.dumps({"after": time.monotonic() - downloaded_at}), encoding="utf-8")


class Incoming:
    """The download: the file is copied block by block at the job's rate and hashed on the way. A GrowingFile."""

    def __init__(self, job: Job) -> None:
        self.path, self.size = job.local, job.size
        self.sha256 = ""
        self._job, self._front = job, 0
        self._changed = threading.Condition()

    def wait(self, position: int, seconds: float) -> int:
        """See GrowingFile.wait."""
        with self._changed:
            self._changed.wait_for(lambda: self._front > position or self._front >= self.size, seconds)
            return self._front

    def run(self) -> float:
        """Until the last byte is there; returns when that was."""
        digest, started = hashlib.sha256(), time.monotonic()
        with Path(self._job.file).open("rb") as source, self.path.open("wb", buffering=0) as target:
            while block := source.read(_BLOCK):
                target.write(block)
                digest.update(block)
                with self._changed:
                    self._front += len(block)
                    self._changed.notify_all()
                time.sleep(max(0.0, started + self._front / self._job.rate - time.monotonic()))
        self.sha256 = digest.hexdigest()
        return time.monotonic()


def download(job: Job, meanwhile: Callable[[Incoming], None] | None = None) -> float:
    """Have the file come in, if the job says so, and something done meanwhile; returns when its last byte was there."""
    if not job.rate:
        return time.monotonic()
    incoming = Incoming(job)
    if meanwhile is None:
        return incoming.run()
    thread = threading.Thread(target=meanwhile, args=(incoming,), daemon=True)
    thread.start()
    ended = incoming.run()
    thread.join()
    return ended
