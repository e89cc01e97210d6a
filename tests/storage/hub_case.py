"""An account of a Hugging Face Hub on loopback as the account under test, by Xet or by LFS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from storage_app.backends.base import Backend
from storage_app.backends.huggingface import HuggingFaceBackend
from tests.servers.hub import Hub
from tests.storage.s3_case import closed_port
from tests.unit.huggingface import account, place

USER = "ann"


class HubCase:
    """The user `ann` of the Hub; the other account is public, so that it may be copied from."""

    def __init__(self, hub: Hub, folder: Path, *, xet: bool) -> None:
        self._hub, self._folder, self._xet = hub, folder, xet
        self.backend: Backend = account(hub, USER, folder, xet=xet)
        self.checks_hash = not xet
        self.copies = xet
        self.secrets: tuple[str, ...] = (hub.user(USER).token, "hf_wrong")
        self._place = place(hub, USER, folder, xet=xet)

    def another(self) -> Backend:
        """The user `ben`, whose repositories are public."""
        account(self._hub, "ben", self._folder)
        return HuggingFaceBackend(replace(place(self._hub, "ben", self._folder, xet=self._xet), visibility="public"))

    def trace(self, repo: str, path: str) -> object:
        """How much of contents was sent, and how many commits were made."""
        received = self._hub.received(USER)
        return [received[kind] for kind in ("lfs", "xorb", "shard")], len(self._hub.repo(USER, repo).commits)

    def corrupt(self, repo: str, path: str) -> None:
        """A bit turns on the Hub's disk."""
        self._hub.corrupt(USER, repo, path, self._hub.files(USER, repo)[path].size // 2)

    def vanish(self, repo: str, path: str) -> None:
        """Somebody removes it."""
        self._hub.remove(USER, repo, path)

    @contextmanager
    def full(self) -> Iterator[Backend]:
        """The user's quota is used up."""
        user = self._hub.user(USER)
        user.private_quota = 10_000
        try:
            yield self.backend
        finally:
            user.private_quota = None

    @contextmanager
    def denied(self) -> Iterator[Backend]:
        """With a token that the Hub doesn't know."""
        yield HuggingFaceBackend(replace(self._place, token="hf_wrong"))

    @contextmanager
    def unreachable(self) -> Iterator[Backend]:
        """Nobody listens there."""
        yield HuggingFaceBackend(replace(self._place, endpoint=f"http://127.0.0.1:{closed_port()}"))
