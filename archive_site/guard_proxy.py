"""A filtering HTTP proxy on loopback, for foreign programs that fetch by themselves (yt-dlp, Chromium).

Whatever they ask for is looked up, checked and connected to by the same rules as `safe_http`'s own fetches: the socket
goes to the very address that was checked, through the operator's own proxy if there is one. CONNECT tunnels raw bytes
(RFC 9110 §9.3.6); a request in absolute form (RFC 9112 §3.2.2) is forwarded alone, and its connection ends with its
answer, so no later request can reach a host that was checked for an earlier one. Only who knows the credential may use
it; it writes nothing to any log.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import socket
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from archive_site.addresses import AddressRefused, Policy
from archive_site.connections import open_socket
from archive_site.guard_connection import GuardServer


class GuardProxy:
    """`with GuardProxy(policy) as proxy:` listens on a free port of 127.0.0.1 until the block ends.

    At its end every connection through it is closed.
    """

    def __init__(self, policy: Policy, *, max_bytes: int = 512 * 1024 * 1024, max_connections: int = 96) -> None:
        """`max_bytes` may come in over all connections together; then all are closed and new ones refused."""
        self.policy = policy
        self.username = "guard"
        self.password = secrets.token_urlsafe(32)
        self.refusals: list[str] = []
        """Why addresses were refused, for the operator; at most 20."""
        self._bytes_left = max_bytes
        self._slots = threading.BoundedSemaphore(max_connections)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._server = GuardServer(self)

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return int(self._server.server_address[1])

    @property
    def server(self) -> str:
        """Its URL without the credential."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Its URL with the credential: a secret, not for a command line."""
        return f"http://{self.username}:{self.password}@127.0.0.1:{self.port}"

    @property
    def exhausted(self) -> bool:
        """Were all its bytes used up?"""
        return self._bytes_left <= 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="guard-proxy", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._closed = True
        self._server.shutdown()
        self._server.server_close()
        self._close_all()

    def admits(self, authorization: str) -> bool:
        """Is this the value of Proxy-Authorization (RFC 7617) that belongs to the credential?"""
        pair = f"{self.username}:{self.password}".encode()
        expected = f"Basic {base64.b64encode(pair).decode()}"
        return hmac.compare_digest(expected.encode(), authorization.strip().encode("utf-8", "replace"))

    def connect(self, host: str, port: int) -> socket.socket:
        """A socket to host:port, at an address that the policy allows. Raises AddressRefused and OSError."""
        upstream = open_socket(host, port, self.policy)
        upstream.settimeout(self.policy.read_timeout)
        return upstream

    def refused(self, reason: AddressRefused) -> None:
        """Remember why."""
        with self._lock:
            self.refusals = [*self.refusals, str(reason)][:20]

    def take_slot(self) -> bool:
        """May one connection more be served now?"""
        return self._slots.acquire(blocking=False)

    def give_slot(self) -> None:
        """A connection is over."""
        self._slots.release()

    def watch(self, *sockets: socket.socket) -> None:
        """These are closed at the proxy's end."""
        with self._lock:
            if not self._closed:
                self._open.update(sockets)
                return
        _shut(sockets)

    def forget(self, *sockets: socket.socket) -> None:
        """These are over."""
        with self._lock:
            self._open.difference_update(sockets)

    def count(self, size: int) -> None:
        """So many bytes came in; closes everything when they were too many."""
        with self._lock:
            self._bytes_left -= size
        if self.exhausted:
            self._close_all()

    def _close_all(self) -> None:
        with self._lock:
            sockets, self._open = self._open, set()
        _shut(sockets)


def _shut(sockets: Iterable[socket.socket]) -> None:
    for sock in sockets:
        try:
            # Wakes up whoever waits on it; the thread that serves it closes it.
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue  # its other end was quicker
