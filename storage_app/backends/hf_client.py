"""One account's way to talk to a Hub: the unmodified client, with time-outs and without long waits."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from storage_app.backends.base import StorageAuthError, StorageError, StorageUnavailableError
from storage_app.backends.hf_errors import retry_after, translated

if TYPE_CHECKING:
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.utils._xet import XetConnectionInfo

    from storage_app.backends.hf_meter import Meter

T = TypeVar("T")

DATASET = "dataset"
PATIENCE = 5.0
"""Seconds that we wait when the Hub asks for it; for longer the account is left alone."""
WAITS = (0.5, 1.0, 2.0, 4.0)
"""Seconds between tries of a request that the client itself doesn't repeat."""

KNOWN_FOR = 600.0
"""Seconds for which we remember whose a token is."""

_known: dict[tuple[str, str, bytes], tuple[float, bool]] = {}


@dataclass(frozen=True)
class HubPlace:
    """An account of a Hub. `endpoint` "" is the public one; `timeout` in seconds without a byte; `memory_folder` holds
    the locks of this host. `xet` False: always by LFS."""

    endpoint: str
    username: str
    token: str = field(repr=False)
    prefix: str
    visibility: str
    timeout: float
    memory_folder: Path
    xet: bool = True


class HubClient:
    """Requests in the name of one account. Its methods raise StorageErrors only."""

    def __init__(self, place: HubPlace) -> None:
        self.place = place
        self.name = place.username

    @functools.cached_property
    def api(self) -> HfApi:
        """The client. Raises StorageAuthError for what can't be a token."""
        from huggingface_hub import HfApi

        use_time_outs(self.place.timeout)
        token = self.place.token
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise StorageAuthError(f"Account {self.name} has no usable token. Enter one with write permission.")
        return HfApi(endpoint=self.endpoint, token=token, library_name="reelkeep")

    @property
    def headers(self) -> dict[str, str]:
        """Of every request to the Hub itself; never for the hosts to which it redirects."""
        from huggingface_hub.utils._headers import build_hf_headers

        return build_hf_headers(token=self.api.token, library_name="reelkeep")

    def repo_id(self, repo: str) -> str:
        """The repository with its user."""
        return f"{self.name}/{repo}"

    @property
    def endpoint(self) -> str:
        """Of the Hub, without a slash at its end."""
        from huggingface_hub import constants

        return self.place.endpoint.rstrip("/") or constants.ENDPOINT

    def resolve_url(self, repo_id: str, path: str) -> str:
        """Where the Hub serves a file, or redirects to who does."""
        return f"{self.endpoint}/datasets/{quote(repo_id)}/resolve/main/{quote(path)}"

    def patiently(self, request: Callable[[], T]) -> T:
        """`request`, tried again for a while when the network or the Hub stumbles."""
        import httpx2
        from huggingface_hub.errors import HfHubHTTPError

        started = time.monotonic()
        for wait in (*WAITS[:2], None):
            try:
                return request()
            except HfHubHTTPError as error:
                if wait is None or not may_pass(error.response):
                    raise
            except httpx2.TransportError:
                # Some of the client's requests have tried for long themselves.
                if wait is None or time.monotonic() - started > PATIENCE:
                    raise
            time.sleep(wait)
        raise AssertionError

    def create_repo(self, repo_id: str) -> None:
        """Make the repository if it isn't there."""
        with translated(self.name), self.lock(f"{self.name} (new repositories)"):
            self.patiently(
                lambda: self.api.create_repo(
                    repo_id, repo_type=DATASET, private=self.place.visibility == "private", exist_ok=True
                )
            )

    def write_token(self, repo_id: str) -> XetConnectionInfo | None:
        """Permission to upload by Xet; None where the Hub or this host has no Xet.

        Asked for by ourselves, because hf_xet loses the text of a refusal. Raises what the Hub really says.
        """
        from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
        from huggingface_hub.utils._http import get_session, hf_raise_for_status
        from huggingface_hub.utils._runtime import is_xet_available
        from huggingface_hub.utils._xet import parse_xet_connection_info_from_headers

        if not self.place.xet or not is_xet_available():
            return None

        def ask() -> httpx2.Response:
            headers = self.headers  # first: the session's time-outs are set with it
            answer = get_session().get(self.write_token_url(repo_id), headers=headers)
            hf_raise_for_status(answer)
            return answer

        with translated(self.name):
            try:
                return parse_xet_connection_info_from_headers(self.patiently(ask).headers)
            except RepositoryNotFoundError:
                raise
            except HfHubHTTPError as error:
                if error.response.status_code == 404:
                    return None
                raise

    def write_token_url(self, repo_id: str) -> str:
        """Where hf_xet asks again when the permission has run out."""
        return f"{self.endpoint}/api/datasets/{repo_id}/xet-write-token/main"

    def must_know_us(self) -> bool:
        """Whether the account is the token's own user; False: one of its organizations. Raises StorageAuthError when
        it is neither, for then "no such repository" only says that.

        A good answer is remembered for a while: the Hub allows this question but rarely.
        """
        asked = (self.endpoint, self.name, hashlib.sha256(self.place.token.encode()).digest())
        at, own = _known.get(asked, (-math.inf, False))
        if time.monotonic() - at > KNOWN_FOR:
            own = self._is_own_user()
            _known[asked] = (time.monotonic(), own)
        return own

    def _is_own_user(self) -> bool:
        with translated(self.name):
            me = self.patiently(lambda: self.api.whoami(cache=False))
        if self.name not in {me.get("name"), *(org.get("name") for org in me.get("orgs", []))}:
            raise StorageAuthError(
                f"The token of account {self.name} belongs to {me.get('name')}. Enter one of {self.name}."
            )
        return bool(me.get("name") == self.name)

    @contextmanager
    def lock(self, what: str, meter: Meter | None = None) -> Iterator[None]:
        """Held by one worker of this host at a time. Other hosts are not kept out: their commits make the Hub answer
        409. `meter` may stop the waiting. Raises StorageUnavailableError when it takes too long."""
        with self._lock_file("repo", what) as descriptor:
            deadline = time.monotonic() + 3 * self.place.timeout
            while not _locked(descriptor):
                if time.monotonic() > deadline:
                    raise StorageUnavailableError(f"Another worker has kept {what} busy for too long.")
                if meter is not None:
                    meter.again()
                time.sleep(0.05)
            yield

    @contextmanager
    def alone(self, what: str) -> Iterator[bool]:
        """Whether nobody else on this host, of whichever account of this Hub, is at it."""
        with self._lock_file("ahead", what) as descriptor:
            yield _locked(descriptor)

    @contextmanager
    def _lock_file(self, kind: str, what: str) -> Iterator[int]:
        """One of a fixed number of files, so that they don't pile up; who shares one waits a little more."""
        folder = self.place.memory_folder / "hub-locks"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{kind}-{hashlib.sha256(f'{self.endpoint} {what}'.encode()).hexdigest()[:3]}"
        descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def may_pass(response: httpx2.Response) -> bool:
    """Whether the same request may succeed in a moment."""
    return response.status_code in {408, 409, 412} or response.status_code >= 500


def checked(repo: str, path: str) -> str:
    """`path`. Raises StorageError for what can't be the name of an object."""
    parts = [repo, *path.split("/")]
    if any(part in {"", ".", "..", ".git"} or "\\" in part or not part.isprintable() for part in parts) or "/" in repo:
        raise StorageError(f"Not a path inside a storage account: {repo}/{path}")
    return path


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


_time_outs: float | None = None
_time_outs_lock = threading.Lock()


def use_time_outs(seconds: float) -> None:
    """Make all requests of huggingface_hub in this process end: its own default is to wait for ever."""
    import httpx2
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils._http import hf_request_event_hook

    class Client(httpx2.Client):
        def close(self) -> None:
            """Nothing. huggingface_hub closes the client that all threads share after any failure to connect, which
            would cut off the other accounts' transfers; its connections go when the last of them is done."""

    def make() -> httpx2.Client:
        return Client(
            event_hooks={"request": [hf_request_event_hook], "response": [_refuse_long_waits]},
            follow_redirects=True,
            timeout=seconds,
        )

    global _time_outs  # noqa: PLW0603 - the client's factory is the process's as well
    with _time_outs_lock:
        if _time_outs == seconds:
            return
        set_client_factory(make)
        # Their warnings and notes name signed URLs.
        for name in ("huggingface_hub", "httpx2", "httpcore2"):
            logging.getLogger(name).setLevel(logging.ERROR)
        _time_outs = seconds


def _refuse_long_waits(response: httpx2.Response) -> None:
    """The client sleeps for as long as a Hub asks it to, and repeats a refused `create_repo` without end."""
    from huggingface_hub.utils._http import hf_raise_for_status

    status, wait = response.status_code, retry_after(response)
    if status == 429:
        too_long = wait is None or wait > PATIENCE
    else:
        too_long = status >= 500 and wait is not None and wait > PATIENCE
    if too_long or (status == 409 and response.url.path.endswith("/api/repos/create") and _is_in_progress(response)):
        response.read()
        hf_raise_for_status(response)


def _is_in_progress(response: httpx2.Response) -> bool:
    response.read()
    return "in progress" in response.text
