"""The Hub itself: two origins on loopback, and what tests say to it and ask of it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from tests.servers.hub import cas, git_api, lfs, listing
from tests.servers.hub.faults import Revoke
from tests.servers.hub.handler import Server
from tests.servers.hub.http import Answer, Refused, Request, Route, answer_json
from tests.servers.hub.state import Entry, FileContent, Repo, State, User, sha256_of
from tests.servers.misbehaviour import Misbehaviour, use_up


@dataclass(frozen=True)
class Seen:
    """One request that arrived, by the name of its route."""

    route: str
    user: str
    method: str
    path: str
    headers: dict[str, str]


class Hub:
    """`with Hub(folder) as hub:` plays huggingface.co on two free ports of loopback; `HfApi(hub.endpoint, token)`.

    Say `hub.misbehave("commit", LoseAnswer(times=1), user="ann")`; all that are still due apply together. The routes
    are the names in `git_api`, `listing`, `lfs` and `cas`; `*` is every one.
    """

    def __init__(self, folder: Path) -> None:
        self.state = State(folder)
        self.cas = cas.Cas(self.state)
        self.requests: list[Seen] = []
        self.url_lifetime = 3600
        """Seconds for which a signed URL is good; at most 0 for one that has expired already."""
        self.token_lifetime = 3600
        """Seconds for which a Xet token is good; the client renews it half a minute before that."""
        self.clock_ahead = 0.0
        """Seconds by which the clock that its answers are dated by is ahead of this host's."""
        self.page_size = 1000
        self.multipart_over = 5_000_000_000
        """Bytes above which LFS sends parts of `part_size`."""
        self.part_size = 64_000_000
        self.parts: dict[str, dict[int, str]] = {}
        self.served: Counter[str] = Counter()
        """Bytes of bodies that were written, by route."""
        self.tokens_leaked = 0
        """How many signed URLs were asked for with somebody's token, which belongs to the Hub alone."""
        self.folder_limit = 10_000
        """Entries that a folder may have."""
        self.crashes: list[BaseException] = []
        """What went wrong in this server itself."""
        self.closing = threading.Event()
        self._key = secrets.token_bytes(32)
        self._plans: dict[tuple[str, str | None], list[Misbehaviour]] = {}
        self._lock = threading.Lock()
        self._front = Server(self, [*git_api.api.all, *listing.api.all, *lfs.api.all, *cas.api.all])
        # hf_xet remembers for weeks which chunks an origin holds: no other test's Hub may ever have had this one.
        address = "127.{}.{}.{}".format(*(secrets.randbelow(254) + 1 for _ in range(3)))
        self._storage = Server(self, [*listing.storage.all, *lfs.storage.all, *cas.storage.all], address)

    @property
    def endpoint(self) -> str:
        """Of the Hub, without a slash at its end."""
        return self._front.base_url

    @property
    def storage_endpoint(self) -> str:
        """Of the second origin: signed uploads and downloads, and Xet's CAS."""
        return self._storage.base_url

    def add_user(self, name: str, **more: Any) -> User:
        """An account with the token `hf_<name>` unless another is given; the rest is as in `User`."""
        user = User(name, **{"token": f"hf_{name}", **more})
        self.state.users[name] = user
        return user

    def user(self, name: str) -> User:
        """An account that was added."""
        return self.state.users[name]

    def repo(self, user: str, name: str) -> Repo:
        """A repository; raises KeyError."""
        return self.state.repos[f"{user}/{name}"]

    def files(self, user: str, name: str) -> dict[str, Entry]:
        """What `main` holds, without the `.gitattributes` that every dataset begins with."""
        files = self.repo(user, name).head.files
        return {path: entry for path, entry in files.items() if path != ".gitattributes"}

    def content(self, user: str, name: str, path: str) -> bytes:
        """What a reader would get."""
        content = self.files(user, name)[path].content
        return b"".join(content.read(0, content.size))

    def sha256(self, user: str, name: str, path: str) -> str:
        """Of what a reader would get, in hex, whatever the pointer claims."""
        return sha256_of(self.files(user, name)[path].content)

    def received(self, user: str) -> Counter[str]:
        """Bytes of request bodies by kind: `api`, `commit`, `lfs`, `xorb`, `shard`."""
        return self.user(user).received

    def count(self, route: str, user: str | None = None) -> int:
        """How many requests of a kind arrived."""
        return sum(seen.route == route and user in {None, seen.user} for seen in self.requests)

    def corrupt(self, user: str, name: str, path: str, at: int = 0) -> None:
        """Flip a bit of this copy on the Hub's disk; the metadata stays. Committing the path again heals it."""
        files = self.repo(user, name).head.files
        entry, damaged = files[path], self.state.new_file("damaged")
        with damaged.open("w+b") as file:
            for block in entry.content.read(0, entry.size):
                file.write(block)
            file.seek(at)
            byte = file.read(1)
            file.seek(at)
            file.write(bytes([byte[0] ^ 1]))
        files[path] = replace(entry, content=FileContent(damaged, entry.size))

    def remove(self, user: str, name: str, path: str) -> None:
        """Delete a file behind everybody's back."""
        with self.state.lock:
            repo = self.repo(user, name)
            repo.add_commit({one: entry for one, entry in repo.head.files.items() if one != path}, f"Delete {path}")

    def remove_repo(self, user: str, name: str) -> None:
        """Delete a whole repository behind everybody's back."""
        with self.state.lock:
            del self.state.repos[f"{user}/{name}"]

    def revoke(self, user: str) -> None:
        """Refuse the user's token from now on; give another by `hub.user(user).token = …`."""
        self.user(user).token = secrets.token_hex()

    def misbehave(self, route: str, *what: Misbehaviour, user: str | None = None) -> None:
        """From now on, for one user or for all; replaces what was said about the same before."""
        with self._lock:
            self._plans[route, user] = list(what)

    def due(self, route: Route, request: Request) -> dict[type[Misbehaviour], Any]:
        """Log a request and use up what goes wrong with it."""
        name = request.user.name if request.user else ""
        with self._lock:
            self.requests.append(Seen(route.name, name, request.method, request.path, dict(request.headers)))
            keys = [(route.name, None), (route.name, name), ("*", None), ("*", name)]
            now = use_up(plan for key in keys for plan in self._plans.get(key, []))
        if Revoke in now and request.user:
            self.revoke(name)
        return now

    def add_served(self, route: str, size: int) -> None:
        """Count bytes that were written."""
        with self._lock:
            self.served[route] += size

    def add_received(self, user: User, kind: str, size: int) -> None:
        """Count bytes that arrived."""
        with self._lock:
            user.received[kind] += size

    def sign(self, path: str, user: User | None, base: str | None = None) -> str:
        """A URL of the second origin that needs no token, for a while."""
        name, expires = user.name if user else "", int(time.time()) + self.url_lifetime
        query = f"user={name}&expires={expires}&signature={self._signature(path, name, expires)}"
        return f"{base or self.storage_endpoint}{path}?{query}"

    def check_signature(self, request: Request) -> None:
        """Raises Refused when the URL isn't ours, or is too old."""
        expires, name = int(request.query.get("expires") or 0), request.query.get("user", "")
        expected = self._signature(request.path, name, expires)
        if not hmac.compare_digest(expected, request.query.get("signature", "")):
            raise Refused(403, "SignatureDoesNotMatch")
        if time.time() >= expires:
            raise Refused(403, "Request has expired")

    def _signature(self, path: str, name: str, expires: int) -> str:
        return hmac.new(self._key, f"{path} {name} {expires}".encode(), hashlib.sha256).hexdigest()

    def page(self, request: Request, entries: Sequence[Any]) -> Answer:
        """A page of a list, and in `Link` (RFC 8288) where the next one is."""
        start = int(request.query.get("cursor") or 0)
        end = start + self.page_size
        query = "".join(f"&{name}={value}" for name, value in request.query.items() if name != "cursor")
        following = f'<{self.endpoint}{request.path}?cursor={end}{query}>; rel="next"'
        return answer_json(list(entries[start:end]), headers={"Link": following} if end < len(entries) else {})

    def __enter__(self) -> Self:
        for server in (self._front, self._storage):
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        for server in (self._front, self._storage):
            server.shutdown()
            server.server_close()
