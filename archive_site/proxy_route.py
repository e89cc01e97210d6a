"""The way through the operator's HTTP proxy: a tunnel to an address that was already checked here.

The proxy is asked for the address, never for the name (CONNECT, RFC 9110 §9.3.6), so it can't be made to look the name
up once more and find a private one. This goes for plain http too: in absolute form (RFC 9112 §3.2.2) a proxy has to put
the address in place of the Host that it was sent, and sites that share an address could not be told apart.
"""

from __future__ import annotations

import base64
import re
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from archive_site.addresses import Endpoint, look_up
from archive_site.fetch_errors import ProxyTrouble

_HEAD_BYTES = 16 * 1024
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})\b")
_UNREACHED = {502, 503, 504}


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy and what it is sent to let us in."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """From `http://[user:password@]host:port`. Raises ValueError, whose text holds no part of `url`."""
        expected = "must be http://host:port or http://user:password@host:port"
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise ValueError(expected) from None
        if parts.scheme != "http" or not host or not port or parts.path not in {"", "/"} or parts.query:
            raise ValueError(expected)
        if parts.username is None:
            return cls(host, port)
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        return cls(host, port, "Basic " + base64.b64encode(credentials.encode()).decode())  # RFC 7617


def open_tunnel(proxy: Proxy, endpoints: Sequence[Endpoint], timeout: float) -> socket.socket:
    """A socket through `proxy` to the first of `endpoints` that it reaches, IPv4 first, within `timeout` seconds.

    Raises ProxyTrouble.
    """
    deadline = time.monotonic() + timeout
    status = 0
    for endpoint in sorted(endpoints, key=lambda endpoint: endpoint.family != socket.AF_INET):
        sock = _connect(proxy, deadline)
        try:
            status = _ask(sock, proxy, endpoint, deadline)
        except (OSError, ValueError) as error:
            sock.close()
            raise ProxyTrouble("the proxy of FETCH_PROXY gives no proper answer") from error
        if status == 200:
            return sock
        sock.close()
        if status not in _UNREACHED:
            break
    raise ProxyTrouble(_refusal(status, endpoints[0].sockaddr[1]))


def _connect(proxy: Proxy, deadline: float) -> socket.socket:
    trouble: OSError | None = None
    try:
        for endpoint in look_up(proxy.host, proxy.port, _left(deadline)):
            sock = socket.socket(endpoint.family, socket.SOCK_STREAM)
            try:
                sock.settimeout(_left(deadline))
                sock.connect(endpoint.sockaddr)
            except OSError as error:
                sock.close()
                trouble = error
            else:
                return sock
    except OSError as error:
        trouble = error
    raise ProxyTrouble("the proxy of FETCH_PROXY can't be reached") from trouble


def _ask(sock: socket.socket, proxy: Proxy, endpoint: Endpoint, deadline: float) -> int:
    """The status of the proxy's answer to CONNECT."""
    host, port = endpoint.sockaddr[:2]
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    sock.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
    head = b""
    while b"\r\n\r\n" not in head:
        sock.settimeout(_left(deadline))
        # Nothing follows before we speak again, so whatever comes belongs to this answer.
        piece = sock.recv(_HEAD_BYTES)
        head += piece
        if not piece or len(head) > _HEAD_BYTES:
            break
    status = _STATUS.match(head)
    if status is None:
        raise ValueError("not an answer of HTTP/1")
    if status[1] == b"200" and not head.endswith(b"\r\n\r\n"):
        raise ValueError("no end of the header, or something after it")
    return int(status[1])


def _refusal(status: int, port: int) -> str:
    if status == 407:
        return "the proxy of FETCH_PROXY refuses its user name and password (407)"
    if status in _UNREACHED:
        return f"the proxy of FETCH_PROXY can't reach it ({status})"
    return f"the proxy of FETCH_PROXY allows no CONNECT to port {port} of this address ({status})"


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time for connecting is over")
    return left
