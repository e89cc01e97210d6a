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


class Pace:
    """Bytes per second, shared by everybody who sends."""

    def __init__(self, bytes_per_second: int) -> None:
        self._bytes_per_second = bytes_per_second
        self._turn = threading.Lock()

    def wait(self, sent: int) -> None:
        """Hold the caller, and all who come after it, for as long as these bytes take."""
        with self._turn:
            time.sleep(sent / self._bytes_per_second)


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: Any, pace: Pace, **options: Any) -> None:
        self._pace = pace
        super().__init__(*arguments, **options)

    def copyfile(self, source: BinaryIO, outputfile: _Writer) -> None:  # type: ignore[override]
        """Send the file at the set pace."""
        while chunk := source.read(CHUNK):
            outputfile.write(chunk)
            self._pace.wait(len(chunk))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class names it so)
        """Nothing: the terminal belongs to the progress bars."""


class Origin:
    """Serves `folder` on 127.0.0.1:`port` within a `with` block; bytes per second over all connections."""

    def __init__(self, folder: Path, port: int, bytes_per_second: int) -> None:
        handler = functools.partial(_Handler, directory=str(folder), pace=Pace(bytes_per_second))
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
