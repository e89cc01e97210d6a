"""Whether the addresses of many URLs are public, each asked once, in a bounded time."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from archive_site.addresses import AddressRefused, Policy, host_and_port, public_endpoints

HostPort = tuple[str, int]

# Half of what `addresses` has, so that single videos can still be checked beside a list.
LOOKUPS_AT_ONCE = 16
LOOKUP_SECONDS = 2.0
KEPT = 10_000


class AddressChecks:
    """Looks hosts up, a few at a time, and keeps the answers for the next list.

    A host that isn't decided in time passes, as a single one does: it is looked up again when it is connected to.
    """

    def __init__(self, policy: Policy, seconds: float = 10.0) -> None:
        self._policy = policy
        self._seconds = seconds
        self._refusals: dict[HostPort, str | None] = {}

    def refusals(self, urls: Iterable[str]) -> dict[str, str]:
        """The sentence for each URL that is refused. All must have passed `check_url`."""
        hosts = {url: host_and_port(url) for url in urls}
        if len(self._refusals) > KEPT:
            self._refusals.clear()
        self._look_up(set(hosts.values()) - self._refusals.keys() - self._policy.allow_hosts)
        found = {url: self._refusals.get(host) for url, host in hosts.items()}
        return {url: sentence for url, sentence in found.items() if sentence}

    def _look_up(self, hosts: set[HostPort]) -> None:
        deadline = time.monotonic() + self._seconds
        with ThreadPoolExecutor(LOOKUPS_AT_ONCE, thread_name_prefix="addresses") as pool:
            answers = pool.map(lambda host: self._refusal(host, deadline), hosts)
            self._refusals.update(zip(hosts, answers, strict=True))

    def _refusal(self, host: HostPort, deadline: float) -> str | None:
        # A look-up may wait this long for its turn and as long again for its answer.
        patience = min(LOOKUP_SECONDS, (deadline - time.monotonic()) / 2)
        if patience <= 0:
            return None
        try:
            public_endpoints(*host, self._policy, patience)
        except AddressRefused as refusal:
            return str(refusal)
        except OSError:
            return None
        return None
