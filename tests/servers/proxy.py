"""An HTTP proxy on loopback that only knows CONNECT, and leads every tunnel to the same place."""

from __future__ import annotations

import contextlib
import re
import socket
import threading

from tests.servers.raw import RawServer


class TunnelProxy(RawServer):
    """Notes where it was asked to connect to, and connects to `leads_to` instead.

    `unreachable` holds the targets that it answers 502 for; with `credentials` (in base64) it wants those.
    """

    def __init__(self, leads_to: tuple[str, int], credentials: str = "", answer: bytes = b"") -> None:
        super().__init__(self._tunnel)
        self._leads_to, self._credentials, self._answer = leads_to, credentials, answer
        self.targets: list[str] = []
        self.unreachable: set[str] = set()

    @property
    def proxy_url(self) -> str:
        """What FETCH_PROXY must be."""
        return self.url("")

    def _tunnel(self, client: socket.socket) -> None:
        head = self.read_head(client)
        request = re.match(r"CONNECT (\S+) HTTP/1\.1\r\n", head)
        if request is None:
            client.sendall(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n")
            return
        self.targets.append(request[1])
        if self._answer:
            client.sendall(self._answer)
        elif self._credentials and f"Proxy-Authorization: Basic {self._credentials}\r\n" not in head:
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
        elif request[1] in self.unreachable:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
        else:
            self._join(client)

    def _join(self, client: socket.socket) -> None:
        with socket.create_connection(self._leads_to) as upstream:
            client.sendall(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
            threading.Thread(target=_pump, args=(upstream, client), daemon=True).start()
            _pump(client, upstream)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
