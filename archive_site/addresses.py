"""Which foreign addresses may be fetched from: a URL's form, and whether what it names is public.

Two questions, asked at different times. `check_url` needs no network and `resolve_and_check` a bounded DNS
look-up: both are for telling a person at once. What keeps private networks safe is `public_endpoints`, which
`safe_http` calls for every connection it opens and whose answer it connects to.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
import unicodedata
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOOKUPS_AT_ONCE = 32

# inet_aton(3) takes 1 to 4 parts, each decimal, octal or hexadecimal; the resolver of the C library does so
# too.
_NUMERIC_HOST = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+)){0,3}")

# The IANA special-purpose registries (RFC 6890 and its successors) know more than older Pythons' `is_global`
# does.
_BLOCKED = tuple(
    ipaddress.ip_network(net)
    for net in (
        "0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "240.0.0.0/4",
        "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
    )
)  # fmt: skip
_GLOBAL_UNICAST_V6 = ipaddress.IPv6Network("2000::/3")  # RFC 4291 §2.4 as allocated by IANA
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
_ISATAP = {0x0000_5EFE, 0x0200_5EFE}  # RFC 5214 §6.1: the interface identifier's first half; then an IPv4 address

_lookup_slots = threading.BoundedSemaphore(_LOOKUPS_AT_ONCE)


class FetchError(Exception):
    """A foreign URL can't be fetched. The text is for the operator: no query string, no credentials."""


class AddressRefused(FetchError):
    """The URL is malformed, has credentials or another scheme, or names an address that isn't public."""


@dataclass(frozen=True)
class Policy:
    """What may be fetched, and how patiently: time-outs in seconds, hosts in lower case without brackets."""

    allow_hosts: frozenset[tuple[str, int]] = frozenset()
    """Host and port, exactly, of origins that may be private."""
    proxy: str | None = field(default=None, repr=False)
    """`http://[user:password@]host:port`; it may be private. What is in `allow_hosts` is fetched past it."""
    connect_timeout: float = 10
    """For finding the name and connecting, whatever the number of its addresses; and again for TLS."""
    first_byte_timeout: float = 30
    """From the request sent to the first byte of its answer."""
    head_timeout: float = 60
    """From the request sent to the end of the answer's header, however it trickles."""
    read_timeout: float = 30
    """Without a single byte in the middle of an answer."""
    slow_bytes: int = 4096
    slow_seconds: float = 60
    """A body of which fewer than `slow_bytes` came while it was waited for so long has stopped."""
    max_redirects: int = 5


class Endpoint(NamedTuple):
    """Where to connect: an address family and what `socket.connect` takes for it."""

    family: socket.AddressFamily
    sockaddr: tuple[str, int] | tuple[str, int, int, int]


def display_url(url: str) -> str:
    """`url` as scheme://host[:port]/path: no credentials, query or fragment, which may be secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(malformed URL)"
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return "".join(c if c.isprintable() else "�" for c in shown[:300])


def check_url(url: str, policy: Policy) -> None:
    """Raise AddressRefused unless `url` is a plain http(s) URL whose host isn't a literal non-public address.

    No network is used: a host name passes, except localhost.
    """
    host, port = host_and_port(url)
    if (host, port) in policy.allow_hosts:
        return
    if host == "localhost" or host.endswith(".localhost"):
        raise _not_public("127.0.0.1", host, port)
    address = _literal(host)
    if address is not None and not is_public(address):
        raise _not_public(str(address), host, port)


def resolve_and_check(url: str, policy: Policy, timeout: float = 2.0) -> None:
    """`check_url`, then look the host up and raise AddressRefused if any of its addresses isn't public.

    A name that isn't resolved within `timeout` seconds passes: it is looked up again when it is connected to.
    """
    check_url(url, policy)
    host, port = host_and_port(url)
    try:
        public_endpoints(host, port, policy, timeout)
    except OSError:
        return


def public_endpoints(host: str, port: int, policy: Policy, timeout: float) -> list[Endpoint]:
    """The addresses of host:port, in the order to try them.

    Raises AddressRefused if any isn't public and host:port isn't allowed by name, TimeoutError after
    `timeout` seconds, and socket.gaierror when the name doesn't resolve.
    """
    host = normal_host(host)
    endpoints = look_up(host, port, timeout)
    if (host, port) not in policy.allow_hosts:
        for endpoint in endpoints:
            literal = endpoint.sockaddr[0]
            if not is_public(ipaddress.ip_address(literal)):
                raise _not_public(literal, host, port)
    return endpoints


def is_public(address: IPAddress) -> bool:
    """Is `address` a unicast address of the public Internet, whatever way it is written or embedded?"""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return is_public(_last_32_bits(address))
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address not in _GLOBAL_UNICAST_V6:
            return False
        if int(address) >> 32 & 0xFFFFFFFF in _ISATAP and not is_public(_last_32_bits(address)):
            return False
    return address.is_global and not address.is_multicast and not any(address in net for net in _BLOCKED)


def _last_32_bits(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def normal_host(host: str) -> str:
    """The form in which hosts are compared: lower case, no brackets, no trailing dot."""
    return host.strip("[]").lower().rstrip(".")


def _not_public(address: str, host: str, port: int) -> AddressRefused:
    return AddressRefused(
        f"Address {address} of host {host} is not public. Add {_host_port(host, port)} to FETCH_ALLOW_HOSTS "
        "if you mean to fetch from it."
    )


def _host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def host_and_port(url: str) -> tuple[str, int]:
    """The normal host and the port of `url`. Raises AddressRefused if its form leaves any doubt about them."""
    if any(c.isspace() or unicodedata.category(c) in {"Cc", "Cf", "Cs"} for c in url):
        raise AddressRefused("The URL holds white space or control characters.")
    try:
        parts = urlsplit(url)
        port = parts.port
        hostname = parts.hostname
    except ValueError:
        raise AddressRefused("The URL is malformed.") from None
    _check_form(parts, hostname)
    if port == 0:
        raise AddressRefused("The URL's port is not valid.")
    host = _plain_host(hostname or "", bracketed="[" in parts.netloc)
    return host, port or _DEFAULT_PORTS[parts.scheme]


def _check_form(parts: SplitResult, hostname: str | None) -> None:
    if parts.scheme not in _DEFAULT_PORTS:
        raise AddressRefused(f"Only http and https URLs are fetched, not {parts.scheme[:20] or 'relative ones'}.")
    if "@" in parts.netloc:
        raise AddressRefused("The URL holds a user name or password; leave them out.")
    if not hostname or not hostname.strip("."):
        raise AddressRefused("The URL names no host.")
    if "\\" in parts.netloc or "%" in parts.netloc or parts.netloc.endswith(":"):
        raise AddressRefused("The URL's host holds characters that don't belong there.")


def _plain_host(hostname: str, *, bracketed: bool) -> str:
    # Other scripts' digits and dots become ASCII ones when the name is prepared for DNS (UTS #46).
    host = normal_host(unicodedata.normalize("NFKC", hostname).replace("。", "."))
    if bracketed and not isinstance(_literal(host), ipaddress.IPv6Address):
        raise AddressRefused("The URL's host is not a valid IPv6 address.")
    if not bracketed and _literal(host) is None and _NUMERIC_HOST.fullmatch(host):
        raise AddressRefused(
            f"Host {host[:50]} is an address in an unusual spelling; write it as four decimal numbers."
        )
    return host


def _literal(host: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def look_up(host: str, port: int, timeout: float) -> list[Endpoint]:
    """All addresses of host:port, unjudged. Raises TimeoutError after `timeout` seconds, and socket.gaierror."""
    # getaddrinfo knows no time-out: it runs in a daemon thread, a bounded number of them at once.
    if not _lookup_slots.acquire(timeout=timeout):
        raise TimeoutError("too many DNS look-ups are under way")
    answer: Future[list[Endpoint]] = Future()

    def work() -> None:
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answer.set_result([Endpoint(row[0], row[4]) for row in rows])  # type: ignore[arg-type]
        except (OSError, UnicodeError) as error:
            answer.set_exception(error if isinstance(error, OSError) else socket.gaierror(str(error)))
        finally:
            _lookup_slots.release()

    threading.Thread(target=work, name="dns", daemon=True).start()
    return answer.result(timeout)
