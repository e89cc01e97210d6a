"""One file over one connection, continued where it was cut or where an earlier call stopped."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from urllib.parse import urlsplit

from archive_site.safe_http import Cut, Fetcher, display_url
from queue_app.downloaders.answer import Answer, cut_failure
from queue_app.downloaders.base import (
    Downloaded,
    Limits,
    ProgressSink,
    Retries,
    Source,
    check_room,
    check_size,
)
from queue_app.downloaders.part import Part, Record
from queue_app.failures import BadSource, Transient
from queue_app.media.containers import container_of

_SUFFIXES = {"mp4": ".mp4", "mov": ".mov", "matroska": ".mkv", "webm": ".webm", "mpegts": ".ts"}
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")  # RFC 9110 §14.4


def download(
    fetcher: Fetcher,
    source: Source,
    answer: Answer,
    folder: Path,
    limits: Limits,
    progress: ProgressSink,
    retries: Retries,
) -> Downloaded:
    """Write the sniffed `answer` to source.<suffix>, asking its URL for the rest when it is cut.

    Closes `answer`. Raises Cancelled from `progress`, and BadSource, Forbidden, Gone, Transient, TooLarge,
    DiskFull; what was written is then left in `folder`.
    """
    with Part(folder, limits, progress) as part:
        part.restart()
        _Transfer(fetcher, source.url, part, limits, progress, retries).run(answer)
        return part.finish()


def resume(
    fetcher: Fetcher, source: Source, folder: Path, limits: Limits, progress: ProgressSink, retries: Retries
) -> Downloaded | None:
    """Go on where an earlier call stopped.

    None when there is nothing in `folder` to go on with, or the source can't, or has another file now; what is there
    is then left as it is. Raises what `download` raises.
    """
    with Part(folder, limits, progress) as part:
        if part.record is None or part.record.playlist:
            return None
        whole = part.whole
        if whole and whole.url == source.url:
            return part.finish()
        transfer = _Transfer(fetcher, source.url, part, limits, progress, retries)
        rest = transfer.patiently_ask_rest()
        if rest is None:
            return None
        if whole:
            rest.close()
        else:
            if part.record and part.record.total is not None:
                check_size(part.record.total, limits)
                check_room(part.folder, part.record.total - part.done)
            transfer.run(rest)
        return part.finish()


def forget(folder: Path) -> None:
    """Remove what an earlier call left."""
    with Part(folder, Limits(max_bytes=0), lambda _done, _total: None) as part:
        if part.record is not None and not part.record.playlist:
            part.remove()


def _container(answer: Answer) -> str:
    answer.check_is_media()
    container = container_of(answer.head)
    if container is None or container not in _SUFFIXES:
        known = "MP4, Matroska, WebM, MPEG-TS"
        raise BadSource(f"{display_url(answer.url)} is not a video in a known format ({known}).")
    return container


class _Transfer:
    """One file on its way into a part, whose record says which version of it the bytes are of."""

    def __init__(
        self,
        fetcher: Fetcher,
        url: str,
        part: Part,
        limits: Limits,
        progress: ProgressSink,
        retries: Retries,
    ) -> None:
        self._fetcher, self._url, self._part = fetcher, url, part
        self._limits, self._progress, self._retries = limits, progress, retries

    def run(self, answer: Answer | None) -> None:
        """Read `answer` and, after each cut, what follows, until the file is whole."""
        while True:
            try:
                if answer is None:
                    answer = self._ask_again()
                self._read(answer)
            except Cut as cut:
                self._retries.use(cut_failure(cut, self._total, self._part.done), self._report)
            except Transient as failure:
                self._retries.use(failure, self._report)
            else:
                return
            answer = None

    def patiently_ask_rest(self) -> Answer | None:
        """The answer that continues the part; None when there can't be one."""
        while True:
            self._report()
            try:
                return self._ask_rest()
            except Transient as failure:
                self._retries.use(failure, self._report)

    @property
    def _total(self) -> int | None:
        return self._part.record.total if self._part.record else None

    def _read(self, answer: Answer) -> None:
        part = self._part
        with answer:
            if part.done == 0:
                self._begin(answer)
            for piece in answer.pieces():
                check_size(part.done + len(piece), self._limits)
                part.write(piece)
                part.reach()
                self._report()
        if self._total is not None and part.done != self._total:
            raise Cut(f"{display_url(self._url)} ended early.")

    def _begin(self, answer: Answer) -> None:
        container, total = _container(answer), answer.length
        if total is not None:
            check_size(total, self._limits)
            check_room(self._part.folder, total)
        etag, modified = answer.header("ETag"), answer.header("Last-Modified")
        name = f"source{_SUFFIXES[container]}"
        self._part.begin(Record(self._url, None, container, name, etag=etag, modified=modified, total=total))

    def _report(self) -> None:
        self._progress(self._part.done, self._total)

    def _ask_again(self) -> Answer:
        """The rest of the file if the source can give exactly that, else the whole from the beginning."""
        rest = self._ask_rest()
        if rest is not None:
            return rest
        self._part.restart()
        answer = Answer.open(self._fetcher, self._url)
        try:
            answer.sniff()
        except Cut:
            answer.close()
            raise
        return answer

    def _ask_rest(self) -> Answer | None:
        record = self._part.record
        if record is None or not self._part.done or not record.validator or not _may_be_of(self._url, record):
            return None
        # Of a file that is whole there is no rest; its last byte tells as well whether it is still the same.
        start = self._part.done - (1 if self._part.whole else 0)
        try:
            answer = Answer.open(self._fetcher, self._url, headers={"If-Range": record.validator}, range_start=start)
        except BadSource:
            # 412 and 416 mean that this version of the file is over; the whole may still be had.
            return None
        total = _continued_total(answer, record, start)
        if total is None or (self._url != record.url and not _is_surely_of(answer, record)):
            answer.close()
            return None
        self._part.begin(dataclasses.replace(record, url=self._url, total=total))
        return answer


def _may_be_of(url: str, record: Record) -> bool:
    """Is it the record's URL, or could it be a newly signed one of the same file?"""
    return url == record.url or (record.etag == record.validator and urlsplit(url).path == urlsplit(record.url).path)


def _is_surely_of(answer: Answer, record: Record) -> bool:
    return record.total is not None and answer.header("ETag") == record.etag


def _continued_total(answer: Answer, record: Record, start: int) -> int | None:
    """Bytes in all of the file that `answer` continues from `start`; None when it doesn't continue the record's."""
    span = _CONTENT_RANGE.fullmatch(answer.header("Content-Range").strip())
    if answer.status != 206 or span is None or int(span[1]) != start:
        return None
    if answer.header("ETag") not in {"", record.etag}:
        return None
    if record.validator == record.modified and answer.header("Last-Modified") not in {"", record.modified}:
        return None
    total = record.total if span[3] == "*" else int(span[3])
    return total if record.total in {None, total} else None
