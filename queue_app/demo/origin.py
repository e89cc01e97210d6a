"""The demo's own source: serves a folder on loopback, slowly enough that one can watch."""

from __future__ import annotations

import functools
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol

CHUNK = 64 * 1024


class _Writer(Protocol):
    def write(self, data: bytes, /) -> object: ...


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: Any, bytes_per_second: int, **options: Any) -> None:
        self._bytes_per_second = bytes_per_second
        super().__init__(*arguments, **options)

    def copyfile(self, source: BinaryIO, outputfile: _Writer) -> None:  # type: ignore[override]
        """Send the file at the set pace."""
        while chunk := source.read(CHUNK):
            outputfile.write(chunk)
            time.sleep(len(chunk) / self._bytes_per_second)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class names it so)
        """Nothing: the terminal belongs to the progress bars."""


class Origin:
    """Serves `folder` on 127.0.0.1:`port` for as long as the `with` block lasts; bytes per second for each connection."""

    def __init__(self, folder: Path, port: int, bytes_per_second: int) -> None:
        handler = functools.partial(_Handler, directory=str(folder), bytes_per_second=bytes_per_second)
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Origin:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
