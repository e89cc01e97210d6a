"""Copies on accounts elsewhere, read by their short-lived signed URLs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from uuid import UUID

from archive_site.addresses import FetchError, Policy
from archive_site.async_http import Upstream, fetcher_for
from storage_app.backends.base import (
    ContentMismatchError,
    ObjectMissingError,
    RemoteBackend,
    SignedUrl,
    StorageAuthError,
    StorageUnavailableError,
)
from storage_app.playback import known
from storage_app.playback.copies import ANSWER_SECONDS, WHOLE_SECONDS, Source
from storage_app.playback.ranges import ByteRange
from storage_app.playback.remote_links import Links
from storage_app.playback.threads import ASKING, in_time, pool

links = Links()

OPERATORS_OWN = Policy(connect_timeout=ANSWER_SECONDS)
_REFUSED = {401, 403, 404, 410}
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


@dataclass(frozen=True)
class RemoteCopy:
    """A copy on an account elsewhere. `connect` makes the backend, which is only done when a URL is needed; `account`
    changes with everything that leads to the account, its credentials included. `endpoint` is empty for the service's
    own, and `etag` the account's mark of the content, as far as it is known."""

    name: str
    index: int
    kind: str
    endpoint: str
    connect: Callable[[], RemoteBackend] = field(compare=False)
    repo: str
    path: str
    sha256: str
    replica: UUID
    account: Hashable = field(repr=False)
    patience: float
    etag: str = ""

    def __str__(self) -> str:
        return self.name

    @property
    def key(self) -> Hashable:
        """See Copy.key."""
        return self.replica

    async def require(self, size: int) -> None:
        """See Copy.require. Nothing can be told: who wants to know better opens it."""

    async def open(self, wanted: ByteRange, size: int) -> Source:
        """See Copy.open. What the account says of the object is held against what it should be, every time as far as
        it comes with the answer, else once in five minutes."""
        link = await self.link()
        upstream = await self._fetch(link, wanted)
        try:
            if upstream.status in _REFUSED:
                upstream.abort()
                links.forget(self._link_key, link)
                link = await self.link()
                upstream = await self._fetch(link, wanted)
            skip = _check(upstream, wanted, size)
            await self._confirm(size, self._sha256(upstream, link))
        except BaseException:
            upstream.abort()
            raise
        return RemoteSource(upstream, skip, wanted.length)

    async def link(self) -> SignedUrl:
        """Where to read it now. Raises StorageError."""
        return await links.of(self._link_key, self._ask, self._threads)

    async def confirm(self, size: int) -> None:
        """Does the account have it as it should be? Asked once in five minutes. Raises StorageError."""
        link = await self.link()
        if link.size not in {None, size}:
            raise ContentMismatchError(f"The account has something else there, of {link.size} bytes.")
        await self._confirm(size, link.sha256)

    def whole(self, size: int) -> bytes:
        """See Copy.whole."""
        return in_time(WHOLE_SECONDS, lambda: b"".join(self.connect().open(self.repo, self.path, 0, size)))

    async def _fetch(self, link: SignedUrl, wanted: ByteRange) -> Upstream:
        headers = {"Range": f"bytes={wanted.start}-{wanted.stop - 1}", **link.headers}
        try:
            return await fetcher_for(OPERATORS_OWN, trusted=True).open(link.url, headers, follow=not link.headers)
        except FetchError as error:
            raise _unavailable("The account can't be reached", error) from None

    def _sha256(self, upstream: Upstream, link: SignedUrl) -> str | None:
        """Of what the answer brings, if it tells: by its hash, or by the mark that the copy was confirmed with."""
        told = upstream.headers.get("x-amz-meta-sha256") or link.sha256
        if told is None and self.etag and upstream.headers.get("ETag", "").strip('"') == self.etag:
            return self.sha256
        return told

    async def _confirm(self, size: int, sha256: str | None) -> None:
        if sha256 is not None and sha256 != self.sha256:
            raise ContentMismatchError("The account has another content there.")
        if known.is_good(self.key):
            return
        if sha256 is None:
            asking = self._threads.submit(lambda: self.connect().stat(self.repo, self.path))
            found = await asyncio.shield(asyncio.wrap_future(asking))
            if found.size != size or found.sha256 not in {None, self.sha256}:
                raise ContentMismatchError(f"The account has something else there, of {found.size} bytes.")
        known.good(self.key)

    def _ask(self) -> SignedUrl:
        return self.connect().signed_url(self.repo, self.path)

    @property
    def _threads(self) -> ThreadPoolExecutor:
        return pool(f"asking-{hash(self.account):x}", ASKING)

    @property
    def _link_key(self) -> Hashable:
        return self.replica, self.account


class RemoteSource:
    """The bytes of an answer, without the first `skip` of them and up to `length`."""

    def __init__(self, upstream: Upstream, skip: int, length: int) -> None:
        self._upstream = upstream
        self._chunks: AsyncIterator[bytes] = upstream.chunks()
        self._skip = skip
        self._left = length

    async def read(self) -> bytes:
        """See Source.read."""
        while True:
            try:
                chunk = await anext(self._chunks, b"")
            except FetchError as error:
                raise _unavailable("The account broke off", error) from None
            if not chunk:
                raise StorageUnavailableError("The account ends its answer too early.")
            piece = chunk[self._skip : self._skip + self._left] if self._skip else chunk[: self._left]
            self._skip = max(0, self._skip - len(chunk))
            self._left -= len(piece)
            if piece:
                return piece

    def close(self) -> None:
        """See Source.close. The account is told at once that no more is wanted."""
        self._left = 0
        self._upstream.abort()


def _check(upstream: Upstream, wanted: ByteRange, size: int) -> int:
    """How many bytes the answer sends before those that are wanted. Raises StorageErrors for what is no answer."""
    status, headers = upstream.status, upstream.headers
    if status == 206:
        found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        if found is None or int(found[1]) != wanted.start:
            raise StorageUnavailableError("The account answers with other bytes than were asked for.")
        if found[3] not in {"*", str(size)}:
            raise ContentMismatchError(f"The account has something else there, of {found[3]} bytes.")
        return 0
    if status == 200:
        length = headers.get("Content-Length", "")
        if length and length != str(size):
            raise ContentMismatchError(f"The account has something else there, of {length[:20]} bytes.")
        return wanted.start
    if status in {404, 410}:
        raise ObjectMissingError("The account does not have it.")
    if status in {401, 403}:
        raise StorageAuthError("The account refuses us.")
    if status == 416:
        raise ContentMismatchError("The account has a shorter content there.")
    raise StorageUnavailableError(f"The account answers {status}.")


def _unavailable(what: str, error: FetchError) -> StorageUnavailableError:
    """Without the beginning of the error's text, which names the URL."""
    return StorageUnavailableError(f"{what}: {str(error).rpartition(': ')[2]}")
