"""A program that puts a file on a Hugging Face account: what a worker process does, without a queue."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from storage_app.backends.base import FileToPut
from storage_app.backends.hf_client import HubPlace
from storage_app.backends.huggingface import HuggingFaceBackend

if __name__ == "__main__":
    endpoint, user, source, path, memory, way = sys.argv[1:]
    content = Path(source).read_bytes()
    file = FileToPut(Path(source), "weaboo-55825", path, hashlib.sha256(content).hexdigest(), len(content))
    place = HubPlace(endpoint, user, f"hf_{user}", "weaboo", "private", 10.0, Path(memory), way == "xet")
    HuggingFaceBackend(place).put([file], lambda _done: None)
