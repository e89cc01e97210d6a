"""Reading a stored file from any byte on, whatever cuts in."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from storage_app.backends.base import ContentMismatchError, ObjectMissingError, StorageUnavailableError
from storage_app.backends.hf_client import WAITS, HubClient, may_pass
from storage_app.backends.hf_errors import translated

if TYPE_CHECKING:
    import httpx2

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_HOPS = 5


class Reading:
    """A file of a repository. The Hub says where its bytes are by a signed URL that is valid for about an hour; that
    one is asked without our token, and replaced when it is refused."""

    def __init__(self, hub: HubClient, repo_id: str, path: str) -> None:
        self.hub = hub
        self.repo_id = repo_id
        self.path = path
        self._etag: str | None = None
        self._signed: str | None = None

    def read(self, start: int, end: int | None) -> Iterator[bytes]:
        """From `start` up to but without `end`, all of the same content. Raises StorageErrors."""
        position, failures = start, 0
        while end is None or position < end:
            before = position
            try:
                for piece in self._stretch(position, end):
                    position += len(piece)
                    yield piece
            except ContentMismatchError:
                raise
            except StorageUnavailableError:
                failures = 1 if position > before else failures + 1
                if failures > len(WAITS):
                    raise
                time.sleep(WAITS[failures - 1])
            else:
                return

    def _stretch(self, position: int, end: int | None) -> Iterator[bytes]:
        """What one answer gives. Raises StorageUnavailableError when that is less than it was to be."""
        with translated(self.hub.name), self._answer(position, end) as answer:
            if answer is None:
                return
            last = _end_of(answer, position, end)
            for chunk in _from(answer, position):
                piece = chunk if last is None else chunk[: last - position]
                if piece:
                    position += len(piece)
                    yield piece
            if last is not None and position < last:
                raise StorageUnavailableError(f"{self.path} of {self.repo_id} broke off in the middle.")

    @contextmanager
    def _answer(self, position: int, end: int | None) -> Iterator[httpx2.Response | None]:
        """The open answer that begins at `position`; None when the file has no more bytes."""
        answer = self._request(position, end)
        try:
            if answer.status_code == 416:
                yield None
                return
            self._check(answer)
            yield answer
        finally:
            answer.close()

    def _request(self, position: int, end: int | None) -> httpx2.Response:
        wanted = {"Range": f"bytes={position}-{'' if end is None else end - 1}", "Accept-Encoding": "identity"}
        if self._signed is not None:
            answer = _get(self._signed, wanted, follow=True)
            if answer.status_code not in {401, 403, 404, 410}:
                return answer
            answer.close()
            self._signed = None
        return self._resolve(wanted)

    def _resolve(self, wanted: dict[str, str]) -> httpx2.Response:
        """Ask the Hub, then whom it names; our token never leaves the Hub's own origin."""
        hub = url = self.hub.resolve_url(self.repo_id, self.path)
        for _ in range(_HOPS):
            answer = _get(url, {**wanted, **self.hub.headers})
            self._stay_with(answer)
            if not answer.has_redirect_location:
                return answer
            url = urljoin(url, answer.headers["Location"])
            answer.close()
            if urlsplit(url)[:2] != urlsplit(hub)[:2]:
                self._signed = url
                return _get(url, wanted, follow=True)
        raise StorageUnavailableError(f"Hugging Face sends requests for {self.path} round in circles.")

    def _stay_with(self, answer: httpx2.Response) -> None:
        """Raise ContentMismatchError when the file has been replaced since its first bytes were read."""
        etag = answer.headers.get("X-Linked-Etag") or answer.headers.get("ETag")
        if answer.status_code < 400 and etag is not None:
            if self._etag not in {None, etag}:
                answer.close()
                raise ContentMismatchError(f"{self.path} of {self.repo_id} was replaced while it was being read.")
            self._etag = etag

    def _check(self, answer: httpx2.Response) -> None:
        from huggingface_hub.utils._http import hf_raise_for_status

        if answer.status_code in {200, 206}:
            return
        answer.read()
        if self._signed is None:
            if answer.status_code == 404:
                self.hub.must_know_us()
            hf_raise_for_status(answer)
        self._signed = None
        if answer.status_code == 404:
            raise ObjectMissingError(f"The bytes of {self.path} are gone from {self.repo_id}.")
        text = "may pass" if may_pass(answer) else "a URL that the Hub has just signed"
        raise StorageUnavailableError(f"Hugging Face's file server answered {answer.status_code} ({text}).")


def _get(url: str, headers: dict[str, str], *, follow: bool = False) -> httpx2.Response:
    from huggingface_hub.utils._http import get_session

    session = get_session()
    return session.send(session.build_request("GET", url, headers=headers), stream=True, follow_redirects=follow)


def _from(answer: httpx2.Response, position: int) -> Iterator[bytes]:
    """The body from `position` on, also where Range was not obeyed."""
    skip = position if answer.status_code == 200 else 0
    for chunk in answer.iter_raw():
        if skip >= len(chunk):
            skip -= len(chunk)
            continue
        yield chunk[skip:]
        skip = 0


def _end_of(answer: httpx2.Response, position: int, end: int | None) -> int | None:
    """The position after the last byte to come, if the answer tells. Raises StorageUnavailableError for other bytes
    than were asked for."""
    if answer.status_code == 200:
        length = answer.headers.get("Content-Length")
        return min((n for n in (end, int(length) if length else None) if n is not None), default=None)
    found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if found is None or int(found[1]) != position:
        raise StorageUnavailableError("Hugging Face's file server answered with other bytes than were asked for.")
    if found[3] == "*":
        return end
    return int(found[3]) if end is None else min(end, int(found[3]))
