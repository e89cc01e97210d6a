"""Connections that check where they go, for requests and for whoever needs the bare socket."""

from __future__ import annotations

import functools
import socket
import time
from collections.abc import Sequence
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError
from urllib3.util.retry import Retry

from archive_site.addresses import Endpoint, Policy, normal_host, public_endpoints
from archive_site.fetch_errors import ProxyTrouble
from archive_site.proxy_route import Proxy, open_tunnel
from archive_site.timed_answer import TimedAnswer

_CONNECTIONS_KEPT = 64
_ADDRESSES_TRIED = 8

SocketOptions = Sequence[tuple[int, int, int | bytes]]


def open_socket(host: str, port: int, policy: Policy, options: SocketOptions = ()) -> socket.socket:
    """A socket to host:port, by way of the policy's proxy if it has one. Its time-out is the connect time-out.

    It goes to one of the very addresses that were checked. Raises AddressRefused if any of the host's addresses isn't
    public, and OSError (TimeoutError, socket.gaierror, ProxyTrouble, …) when none answers.
    """
    deadline = time.monotonic() + policy.connect_timeout
    proxy = Proxy.parse(policy.proxy) if policy.proxy and (normal_host(host), port) not in policy.allow_hosts else None
    try:
        endpoints = public_endpoints(host, port, policy, policy.connect_timeout)[:_ADDRESSES_TRIED]
    except socket.gaierror as error:
        if proxy:
            raise ProxyTrouble(
                "its name doesn't resolve on this host, which has to check the address even with FETCH_PROXY set: "
                "give this host a DNS server"
            ) from error
        raise
    if proxy:
        sock = open_tunnel(proxy, endpoints, policy.connect_timeout)
    else:
        sock = _first_that_answers(endpoints, deadline, options)
    sock.settimeout(policy.connect_timeout)
    return sock


def _first_that_answers(endpoints: list[Endpoint], deadline: float, options: SocketOptions) -> socket.socket:
    trouble: OSError = socket.gaierror("no address")
    for tried, endpoint in enumerate(endpoints):
        # Each gets its share of the time that is left, so that one black hole doesn't use up all of it.
        share = (deadline - time.monotonic()) / (len(endpoints) - tried)
        sock = socket.socket(endpoint.family, socket.SOCK_STREAM)
        try:
            for option in options:
                sock.setsockopt(*option)
            sock.settimeout(max(share, 0.01))
            sock.connect(endpoint.sockaddr)
        except OSError as error:
            sock.close()
            trouble = error
        else:
            return sock
    raise trouble


class CheckedAdapter(HTTPAdapter):
    """requests' adapter over connections that check where they go."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        super().__init__(pool_maxsize=_CONNECTIONS_KEPT, max_retries=Retry(0, read=False))

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pool_classes(self._policy)


def _pool_classes(policy: Policy) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    """Connection pools by scheme whose every new socket goes to an address that `policy` allows."""
    answer = functools.partial(TimedAnswer, policy=policy)

    class CheckedHTTP(HTTPConnection):
        response_class = answer  # type: ignore[assignment]

        def _new_conn(self) -> socket.socket:
            return _connect(self, policy)

    class CheckedHTTPS(HTTPSConnection):
        response_class = answer  # type: ignore[assignment]

        def _new_conn(self) -> socket.socket:
            return _connect(self, policy)

    class HTTPPool(urllib3.HTTPConnectionPool):
        ConnectionCls = CheckedHTTP

    class HTTPSPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = CheckedHTTPS

    return {"http": HTTPPool, "https": HTTPSPool}


def _connect(connection: HTTPConnection, policy: Policy) -> socket.socket:
    try:
        return open_socket(connection.host, connection.port, policy, connection.socket_options or ())
    except OSError as error:
        raise NewConnectionError(connection, f"can't connect: {type(error).__name__}") from error
