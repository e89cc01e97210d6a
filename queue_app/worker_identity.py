"""Who this worker is: one name per data folder and process, the same again after a restart."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import socket
from pathlib import Path


class IdentityTaken(Exception):
    """Another process on this host runs under the name that was asked for."""


class WorkerIdentity:
    """A worker's name, held by a file lock for as long as the process lives.

    Because the lock proves that no other process has the name, whatever the database says a worker of this name still
    holds was left behind by one that died.
    """

    def __init__(self, data_folder: Path, wanted: str = "") -> None:
        self._folder = data_folder / "workers"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock: int | None = None
        self.name = self._take(wanted) if wanted else self._take_any()

    def release(self) -> None:
        """Let another process have the name."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take(self, name: str) -> str:
        if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name) is None:
            raise IdentityTaken(
                f"WORKER_ID={name!r}: use up to 100 letters, digits, '.', '_' and '-', with a letter or digit first."
            )
        if not self._try_lock(name):
            raise IdentityTaken(
                f"A worker named {name} already runs with this data folder. Give this one another WORKER_ID."
            )
        return name

    def _take_any(self) -> str:
        """The first made-up name of this folder that no process holds."""
        slot = 1
        while not self._try_lock(f"slot-{slot}"):
            slot += 1
        kept = self._folder / f"slot-{slot}.name"
        if not kept.exists():
            host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:40].strip("-") or "worker"
            kept.write_text(f"{host}-{secrets.token_hex(3)}", encoding="utf-8")
        return kept.read_text(encoding="utf-8").strip()

    def _try_lock(self, name: str) -> bool:
        descriptor = os.open(self._folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._lock = descriptor
        return True
