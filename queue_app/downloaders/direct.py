"""One file over one connection, resumed in place when it is cut."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import IO

from archive_site.safe_http import Cut, Fetcher, display_url
from queue_app.downloaders.answer import Answer, cut_failure
from queue_app.downloaders.base import (
    Downloaded,
    Limits,
    ProgressSink,
    Retries,
    check_room,
    check_size,
    full_disk_as_failure,
)
from queue_app.failures import BadSource, Transient
from queue_app.media.containers import container_of

_SUFFIXES = {"mp4": ".mp4", "mov": ".mov", "matroska": ".mkv", "webm": ".webm", "mpegts": ".ts"}
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")  # RFC 9110 §14.4


def download(
    fetcher: Fetcher,
    url: str,
    answer: Answer,
    folder: Path,
    limits: Limits,
    progress: ProgressSink,
    retries: Retries,
) -> Downloaded:
    """Write the sniffed `answer` to `folder`/source.<suffix>, asking `url` for the rest when it is cut.

    Closes `answer`. Raises Cancelled from `progress`, and BadSource, Forbidden, Gone, Transient, TooLarge,
    DiskFull; what was written is then left to the caller to remove.
    """
    part = folder / "source.part"
    with full_disk_as_failure(), part.open("wb") as file:
        transfer = _Transfer(fetcher, url, file, folder, limits, progress, retries)
        transfer.run(answer)
    path = part.rename(folder / f"source{_SUFFIXES[transfer.container]}")
    return Downloaded(path, transfer.done, transfer.digest.hexdigest(), None, transfer.container)


def _container(answer: Answer) -> str:
    answer.check_is_media()
    container = container_of(answer.head)
    if container is None or container not in _SUFFIXES:
        known = "MP4, Matroska, WebM, MPEG-TS"
        raise BadSource(f"{display_url(answer.url)} is not a video in a known format ({known}).")
    return container


class _Transfer:
    """The state of one file on its way: how many bytes lie in it, their hash, and which version they
    are of.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        url: str,
        file: IO[bytes],
        folder: Path,
        limits: Limits,
        progress: ProgressSink,
        retries: Retries,
    ) -> None:
        self._fetcher, self._url, self._file, self._folder = fetcher, url, file, folder
        self._limits, self._progress, self._retries = limits, progress, retries
        self._restart()

    def _restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self.done = 0
        self.digest = hashlib.sha256()
        self._total: int | None = None
        self._etag = self._modified = ""
        self.container = ""

    def run(self, answer: Answer | None) -> None:
        """Read `answer` and, after each cut, what follows, until the file is whole."""
        while True:
            try:
                if answer is None:
                    answer = self._ask_again()
                self._read(answer)
            except Cut as cut:
                self._retries.use(cut_failure(cut, self._total, self.done), self._report)
            except Transient as failure:
                self._retries.use(failure, self._report)
            else:
                return
            answer = None

    def _read(self, answer: Answer) -> None:
        with answer:
            if self.done == 0:
                self.container = _container(answer)
                self._note_version(answer)
            for piece in answer.pieces():
                check_size(self.done + len(piece), self._limits)
                self._file.write(piece)
                self.digest.update(piece)
                self.done += len(piece)
                self._report()
        if self._total is not None and self.done != self._total:
            raise Cut(f"{display_url(self._url)} ended early.")

    def _note_version(self, answer: Answer) -> None:
        self._total = answer.length
        self._etag, self._modified = answer.header("ETag"), answer.header("Last-Modified")
        if self._total is not None:
            check_size(self._total, self._limits)
            check_room(self._folder, self._total)

    def _report(self) -> None:
        self._progress(self.done, self._total)

    def _ask_again(self) -> Answer:
        """The rest of the file if the source can give exactly that, else the whole from the beginning."""
        # RFC 9110 §13.1.5: a weak ETag can't tell whether two answers are the same bytes.
        validator = self._etag if self._etag.startswith('"') else self._modified
        if self.done and validator:
            rest = self._ask_rest(validator)
            if rest is not None:
                return rest
        self._restart()
        answer = Answer.open(self._fetcher, self._url)
        try:
            answer.sniff()
        except Cut:
            answer.close()
            raise
        return answer

    def _ask_rest(self, validator: str) -> Answer | None:
        try:
            answer = Answer.open(self._fetcher, self._url, headers={"If-Range": validator}, range_start=self.done)
        except BadSource:
            # 412 and 416 mean that this version of the file is over; the whole may still be had.
            return None
        if self._continues(answer):
            return answer
        answer.close()
        return None

    def _continues(self, answer: Answer) -> bool:
        span = _CONTENT_RANGE.fullmatch(answer.header("Content-Range").strip())
        if answer.status != 206 or span is None or int(span[1]) != self.done:
            return False
        if answer.header("ETag") not in {"", self._etag}:
            return False
        if self._total is None and span[3] != "*":
            self._total = int(span[3])
        return span[3] in {"*", str(self._total)}
