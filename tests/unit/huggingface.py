"""Accounts of the Hub that plays on loopback, and files to put there."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

from storage_app.backends.base import FileToPut, StoredObject
from storage_app.backends.hf_client import HubPlace
from storage_app.backends.huggingface import HuggingFaceBackend
from tests.servers.hub import Hub

REPO = "weaboo-55825"
PATH = "55825/ep1/0123456789abcdef.mp4"
LFS_STEPS = ["preupload", "batch", "verify", "commit", "paths-info", "resolve"]
XET_STEPS = ["preupload", "xet-write-token", "commit", "paths-info", "resolve"]
STEPS = [*[("lfs", step) for step in LFS_STEPS], *[("xet", step) for step in XET_STEPS]]
"""A way to upload, and the route of a request that it makes."""


def place(hub: Hub, user: str, folder: Path, *, xet: bool = True, timeout: float = 5.0) -> HubPlace:
    """How to reach an account that the Hub has."""
    return HubPlace(hub.endpoint, user, hub.user(user).token, "weaboo", "private", timeout, folder / "memory", xet)


def account(hub: Hub, user: str, folder: Path, *, xet: bool = True, timeout: float = 5.0) -> HuggingFaceBackend:
    """A backend for it; the account is added when the Hub has none of that name."""
    if user not in hub.state.users:
        hub.add_user(user)
    return HuggingFaceBackend(place(hub, user, folder, xet=xet, timeout=timeout))


def random_bytes(size: int, seed: int | None = None) -> bytes:
    """Incompressible, and another one each time unless there is a seed."""
    return random.Random(seed).randbytes(size)


def file_of(folder: Path, content: bytes, path: str = PATH, repo: str = REPO) -> FileToPut:
    """A file on this host's disk that is to be put."""
    source = folder / f"{hashlib.sha256(path.encode() + content[:64]).hexdigest()[:8]}.source"
    source.write_bytes(content)
    return FileToPut(source, repo, path, hashlib.sha256(content).hexdigest(), len(content))


def put(backend: HuggingFaceBackend, *files: FileToPut) -> list[StoredObject]:
    """Put without looking at the progress."""
    return backend.put(files, lambda _done: None)


def ready(hub: Hub, folder: Path, way: str, timeout: float = 5.0) -> HuggingFaceBackend:
    """An account whose repository is there, so that the next put is an ordinary one."""
    backend = account(hub, "ann", folder, xet=way == "xet", timeout=timeout)
    put(backend, file_of(folder, random_bytes(1000), "55825/ep0/first.mp4"))
    return backend


def commits(hub: Hub) -> list[str]:
    """The titles of those that put the file of the tests."""
    return [commit.title for commit in hub.repo("ann", REPO).commits if PATH in commit.title]
