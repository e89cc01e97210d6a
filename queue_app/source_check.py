"""Is a file that was proven still the one that is being sent? Hashed beside the upload, not before it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable

from queue_app.artifact import ArtifactLost
from storage_app.backends.base import FileToPut

_BLOCK_BYTES = 8 * 1024 * 1024
_TICK_SECONDS = 0.2


class SourceCheck:
    """Of the files of one upload, each read once. Accounts that are told a file's hash believe it: what a crash or
    another program did to the file after its proof would be stored several times, and called whole.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        """`check` is called while it is waited for, and may raise to stop."""
        self._check = check
        self._readers: dict[tuple[str, str], _Reader] = {}

    def begin(self, files: Iterable[FileToPut]) -> None:
        """Start reading these. Raises ArtifactLost for what is gone, or has another size."""
        for file in files:
            if (str(file.source), file.sha256) not in self._readers:
                if not file.source.is_file() or file.source.stat().st_size != file.size:
                    raise _lost()
                reader = self._readers[str(file.source), file.sha256] = _Reader(file)
                reader.start()

    def require_true(self, files: Iterable[FileToPut]) -> None:
        """Wait until each was read. Raises ArtifactLost unless all are what they were, and what `check` raises."""
        for file in files:
            reader = self._readers[str(file.source), file.sha256]
            while reader.is_alive():
                self._check()
                reader.join(_TICK_SECONDS)
            if reader.found != file.sha256:
                raise _lost()


class _Reader(threading.Thread):
    """Ends with the process, should nobody wait for it any more."""

    def __init__(self, file: FileToPut) -> None:
        super().__init__(name=f"hash-{file.source.name}", daemon=True)
        self._path = file.source
        self.found = ""

    def run(self) -> None:
        digest = hashlib.sha256()
        try:
            with self._path.open("rb", buffering=0) as source:
                while block := source.read(_BLOCK_BYTES):
                    digest.update(block)
        except OSError:
            return  # then it is not what it was
        self.found = digest.hexdigest()


def _lost() -> ArtifactLost:
    return ArtifactLost(
        "The downloaded file is gone from this host's disk or was changed after its proof; it will be downloaded again."
    )
