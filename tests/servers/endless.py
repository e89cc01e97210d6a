"""An origin of one video without end, that notes when somebody leaves it."""

from __future__ import annotations

import os
import socket
import threading
import time

from tests.servers.raw import RawServer
from tests.servers.tls import Certificate

_PIECE = bytes(64 * 1024)


class Endless(RawServer):
    """Sends as fast as it is taken from it; over TLS when it is given a certificate.

    The path says when it falls silent: `/mute` before its answer, `/silent` after the header, anything else never.
    """

    def __init__(self, certificate: Certificate | None = None) -> None:
        super().__init__(self._pour)
        self._tls = certificate.server_context() if certificate else None
        self.left: list[float] = []
        """When (time.monotonic) connections were found to be broken off by the other side."""
        self.sent = 0
        """Bytes of bodies handed to the network."""
        self.now = 0
        """Connections whose request has come and that are still there."""
        self._lock = threading.Lock()

    @property
    def base_url(self) -> str:
        """Without a slash at its end."""
        host, port = self.host_port
        return f"{'https' if self._tls else 'http'}://{host}:{port}"

    def _pour(self, bare: socket.socket) -> None:
        connection = self._tls.wrap_socket(bare, server_side=True) if self._tls else bare
        with connection:
            head = self.read_head(connection)
            if not head:
                return
            self._count(1)
            try:
                if "/mute" not in head:
                    self._answer(connection, endless="/silent" not in head)
                self._watch(connection)
            except OSError:
                self.left.append(time.monotonic())
            finally:
                self._count(-1)

    def _answer(self, connection: socket.socket, *, endless: bool) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 999999999999\r\n\r\n")
        while endless and not self.closing.is_set():
            connection.sendall(_PIECE)
            with self._lock:
                self.sent += len(_PIECE)

    def _watch(self, connection: socket.socket) -> None:
        """Until the connection is closed: what TLS sends for a goodbye doesn't count as that."""
        with socket.socket(fileno=os.dup(connection.fileno())) as raw:
            while not self.closing.is_set():
                if not raw.recv(65536):
                    raise ConnectionResetError

    def _count(self, change: int) -> None:
        with self._lock:
            self.now += change
