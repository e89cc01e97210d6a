"""A program that puts a file on a Hugging Face account, or sends it ahead: a worker process without a queue."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

from storage_app.backends.base import FileToPut
from storage_app.backends.hf_client import HubPlace
from storage_app.backends.huggingface import HuggingFaceBackend


@dataclass
class Whole:
    """A file that is all there."""

    path: Path
    size: int

    def wait(self, _position: int, _seconds: float) -> int:
        """All of it."""
        return self.size


if __name__ == "__main__":
    endpoint, user, source, path, memory, way = sys.argv[1:]
    content = Path(source).read_bytes()
    file = FileToPut(Path(source), "weaboo-55825", path, hashlib.sha256(content).hexdigest(), len(content))
    place = HubPlace(endpoint, user, f"hf_{user}", "weaboo", "private", 10.0, Path(memory), way != "lfs")
    backend = HuggingFaceBackend(place)
    if way == "ahead":
        backend.send_ahead(Whole(file.source, file.size), file.repo, file.path)
    else:
        backend.put([file], lambda _done: None)
