"""Can a viewer's browser reach an account by itself?"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

_HERE = {"localhost", "ip6-localhost"}
_INSIDE = (".local", ".internal", ".localhost", ".lan", ".home.arpa")


def reachable(endpoint: str, site: str, *, browser: bool = True) -> bool:
    """Can whoever came to us by the URL `site` also reach `endpoint` (empty: a public service)?

    An account inside the operator's network is of use only to viewers inside it, one on this very host only to those
    who sit at it, and a browser's page that came by https loads nothing by http. Names are judged by their look.
    """
    if not endpoint:
        return True
    account, ours = urlsplit(endpoint), urlsplit(site)
    if browser and ours.scheme == "https" and account.scheme != "https":
        return False
    return _seclusion(account.hostname or "") <= _seclusion(ours.hostname or "")


def _seclusion(host: str) -> int:
    """0 for the Internet, 1 for the operator's network, 2 for this host."""
    host = host.rstrip(".").lower()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if host in _HERE:
            return 2
        return 1 if "." not in host or host.endswith(_INSIDE) else 0
    if address.is_loopback or address.is_unspecified:
        return 2
    return 0 if address.is_global else 1
