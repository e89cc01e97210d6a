"""Does a storage account work? Writes a small file there, looks at it, reads it back and deletes it."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

from storage_app.accounts import place_of
from storage_app.backends import backend_for
from storage_app.backends.base import Backend, ContentMismatchError, FileToPut, StorageError
from storage_app.credentials import without_secret
from storage_app.models import StorageAccount

log = logging.getLogger(__name__)

PROBE_BYTES = 256 * 1024
PROBE_SECONDS = 45.0
"""How long somebody waits for the result of a test at the most."""


@dataclass
class ProbeResult:
    """What came of it. `steps` are those that succeeded, with their seconds; `problem` is "" when all did."""

    account: StorageAccount
    steps: list[tuple[str, float]] = field(default_factory=list)
    problem: str = ""

    @property
    def works(self) -> bool:
        """Did every step succeed?"""
        return not self.problem

    @property
    def sentence(self) -> str:
        """For operators."""
        if self.problem:
            return f"Account {self.account} doesn't work: {self.problem}"
        seconds = sum(took for _, took in self.steps)
        done = ", ".join(name for name, _ in self.steps)
        return f"Account {self.account} works ({place_of(self.account)}): {done}, in {seconds:.1f} s."


def probe(account: StorageAccount, seconds: float = PROBE_SECONDS) -> ProbeResult:
    """Test one account; see `probe_all`."""
    return probe_all([account], seconds)[0]


def probe_all(accounts: Iterable[StorageAccount], seconds: float = PROBE_SECONDS) -> list[ProbeResult]:
    """Test the accounts side by side, giving all of them together `seconds`.

    Never raises for what an account does. One that hasn't answered by then is reported so; its test goes on in a thread
    of its own, and still deletes what it wrote.
    """
    tests = [_Test(account) for account in accounts]
    for test in tests:
        test.start()
    deadline = time.monotonic() + seconds
    for test in tests:
        test.join(max(0.0, deadline - time.monotonic()))
    return [test.result_now(seconds) for test in tests]


class _Test:
    """The test of one account in a thread that nothing waits for at the end. It touches no database."""

    def __init__(self, account: StorageAccount) -> None:
        self._account = account
        self._result = ProbeResult(account)
        self._doing = "reaching it"
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, if the account's backend can be had at all."""
        try:
            backend = backend_for(self._account)
        except StorageError as error:
            self._result.problem = self._safe(str(error))
            return
        self._thread = threading.Thread(target=self._run, args=(backend,), name="probe", daemon=True)
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait so long at the most."""
        if self._thread is not None:
            self._thread.join(seconds)

    def result_now(self, seconds: float) -> ProbeResult:
        """What is known by now."""
        if self._thread is not None and self._thread.is_alive():
            late = f"{self._doing} took longer than {seconds:.0f} s. Is it reachable from here? See STORAGE_TIMEOUT."
            return ProbeResult(self._account, list(self._result.steps), late)
        return self._result

    def _run(self, backend: Backend) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="reelkeep-probe-") as folder:
                self._steps(backend, _make_file(Path(folder)))
        except StorageError as error:
            self._result.problem = self._safe(f"{self._doing} failed. {error}")
        except Exception as error:  # noqa: BLE001 (whatever it is, the operator asked whether the account works)
            log.warning("Testing account %s: %s.", self._account, type(error).__name__)
            self._result.problem = self._safe(f"{self._doing} failed by an unforeseen {type(error).__name__}: {error}")

    def _steps(self, backend: Backend, file: FileToPut) -> None:
        self._do("writing", "wrote 256 KB", lambda: backend.put([file], lambda _: None))
        try:
            self._do("looking at what was written", "found it whole", lambda: _look(backend, file))
            self._do("reading back", "read it back", lambda: _read(backend, file))
        finally:
            doing = self._doing
            self._do("deleting", "deleted it", lambda: backend.delete(file.repo, file.path))
            self._doing = doing

    def _do(self, doing: str, done: str, step: Callable[[], object]) -> None:
        self._doing = doing
        started = time.monotonic()
        step()
        self._result.steps.append((done, time.monotonic() - started))

    def _safe(self, text: str) -> str:
        return without_secret(text, self._account)


def _make_file(folder: Path) -> FileToPut:
    """Random bytes under a video's name, so that they go the way of videos and meet no other test's."""
    content = os.urandom(PROBE_BYTES)
    source = folder / "probe"
    source.write_bytes(content)
    name = os.urandom(8).hex()
    return FileToPut(
        source, f"{settings.HF_REPO_PREFIX}-probe", f"probe/{name}.mp4", hashlib.sha256(content).hexdigest(),
        PROBE_BYTES, "video/mp4",
    )  # fmt: skip


def _look(backend: Backend, file: FileToPut) -> None:
    found = backend.stat(file.repo, file.path)
    if found.size != file.size or found.sha256 not in {None, file.sha256}:
        raise ContentMismatchError(f"{found.size} bytes are there of {file.size}, or others than were sent.")


def _read(backend: Backend, file: FileToPut) -> None:
    digest = hashlib.sha256()
    for piece in backend.open(file.repo, file.path):
        digest.update(piece)
    tail = b"".join(backend.open(file.repo, file.path, file.size - 16))
    with file.source.open("rb") as source:
        source.seek(file.size - 16)
        same = digest.hexdigest() == file.sha256 and tail == source.read()
    if not same:
        raise ContentMismatchError("What came back is not what was sent.")
