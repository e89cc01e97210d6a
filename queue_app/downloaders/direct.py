"""One file over several connections at once, continued where they were cut or where an earlier call stopped.

Ranges are asked for with If-Range wherever the source gives a validator, and each answer must agree with the first in
total, ETag and Last-Modified. A source that gives no validator but a total is read by ranges too, within one call: then
the total is what must agree, and the proof of the whole file is what stands behind it.
"""

from __future__ import annotations

import dataclasses
import time
from contextlib import nullcontext
from pathlib import Path
from urllib.parse import urlsplit

from archive_site.safe_http import AddressRefused, Cut, Fetcher, check_url, display_url
from queue_app.downloaders import file_record
from queue_app.downloaders.adaptation import Adaptation, Patience
from queue_app.downloaders.answer import Answer, cut_failure
from queue_app.downloaders.base import (
    Downloaded,
    Limits,
    ProgressSink,
    Retries,
    Source,
    check_size,
)
from queue_app.downloaders.file_crew import Crew, StartAgain
from queue_app.downloaders.file_part import FilePart
from queue_app.downloaders.file_record import Record
from queue_app.downloaders.pieces import Piece
from queue_app.downloaders.sites import Site, Sites
from queue_app.downloaders.version import Changed, NoRanges, Refused, Version, ask_range
from queue_app.failures import BadSource, ExpiredUrl, Failure, Transient
from queue_app.media.containers import container_of

_SUFFIXES = {"mp4": ".mp4", "mov": ".mov", "matroska": ".mkv", "webm": ".webm", "mpegts": ".ts"}
_SMALL_BYTES = 4 * 1024 * 1024
"""So much comes over one connection before others have opened."""
_EXPIRED = {401, 403, 410}


def download(
    fetcher: Fetcher,
    source: Source,
    answer: Answer,
    folder: Path,
    limits: Limits,
    progress: ProgressSink,
    retries: Retries,
) -> Downloaded:
    """Write the file that the sniffed `answer` begins to source.<suffix>, over as many connections as it bears.

    Closes `answer`. Raises Cancelled from `progress`, and BadSource, Forbidden, Gone, ExpiredUrl, Transient, TooLarge,
    DiskFull; what was written is then left in `folder`.
    """
    with answer, FilePart(folder, limits) as part:
        transfer = _Transfer(fetcher, source, part, limits, progress, retries)
        transfer.begin(answer)
        return transfer.run(answer, transfer.claim())


def resume(
    fetcher: Fetcher, source: Source, folder: Path, limits: Limits, progress: ProgressSink, retries: Retries
) -> Downloaded | None:
    """Go on where an earlier call stopped.

    None when there is nothing in `folder` to go on with, or the source can't, or has another file now; what is there
    is then left as it is. Raises what `download` raises.
    """
    record = file_record.load(folder)
    if record is None or not _may_be_of(source, record):
        return None
    if record.url in source.mirrors:
        source = source.at(record.url)
    with FilePart(folder, limits) as part:
        if not part.take_over(record, progress):
            part.remove()
            return None
        transfer = _Transfer(fetcher, source, part, limits, progress, retries)
        if part.map.complete and record.url == source.url:
            return transfer.finish()
        return transfer.resume(record)


def forget(folder: Path) -> None:
    """Remove what an earlier call left."""
    record = file_record.load(folder)
    file_record.remove(folder)
    if record is not None:
        (folder / record.name).unlink(missing_ok=True)


class _Transfer:
    """One file on its way into a part, whose record says which version of it the bytes are of."""

    def __init__(
        self,
        fetcher: Fetcher,
        source: Source,
        part: FilePart,
        limits: Limits,
        progress: ProgressSink,
        retries: Retries,
    ) -> None:
        self._fetcher, self._source, self._part = fetcher, source, part
        self._limits, self._progress, self._retries = limits, progress, retries
        self._patience = Patience(limits)
        self._changed = False

    def begin(self, answer: Answer) -> None:
        """Forget what is in the part; the whole file is going to be read, beginning with the sniffed `answer`."""
        container, version = _container(answer), Version.of(answer)
        if version.total is not None:
            check_size(version.total, self._limits)
        fields = dataclasses.asdict(version)
        self._part.begin(Record(self._source.url, container, f"source{_SUFFIXES[container]}", **fields))

    def claim(self) -> Piece:
        """What is missing first."""
        piece = self._part.map.claim(time.monotonic())
        assert piece is not None  # noqa: S101 - only asked while something is missing
        return piece

    def run(self, answer: Answer | None, piece: Piece) -> Downloaded:
        """Fetch all that is missing, from the claimed `piece` on, at whose beginning `answer`, if given, is."""
        while True:
            self._part.start()
            sites = self._sites(answer)
            try:
                with (
                    answer or nullcontext(),
                    Crew(self._fetcher, self._part, sites, self._limits, self._patience) as crew,
                ):
                    crew.run(piece, answer, self._progress)
                return self.finish()
            except StartAgain as again:
                answer = self._sniffed(again.answer)
            except Changed as changed:
                if self._changed:
                    raise Transient(f"The file changes while it is fetched. {changed}") from changed
                self._changed = True
                answer = self._sniffed(None)
            self.begin(answer)
            piece = self.claim()

    def finish(self) -> Downloaded:
        """The complete file, as soon as it is hashed."""
        self._part.start()
        while not self._part.hashed(_TICK_SECONDS):
            self._report()
        self._report()
        return self._part.finish()

    def resume(self, record: Record) -> Downloaded | None:
        """Go on from what `record` tells of; None when the source doesn't give the rest of the same file."""
        whole = self._part.map.complete
        if whole:
            # Of a file that is whole there is no rest; its last byte tells as well whether it is still the same.
            piece, start, end = None, (record.total or 1) - 1, record.total
        else:
            piece = self.claim()
            start, end = piece.position, piece.end if record.total is not None else None
        try:
            answer = self._ask_rest(record, start, end)
        except Failure as failure:
            if piece is not None and record.total is not None and self._source.mirrors:
                self._part.reserve()
                # The mirrors can show by the bytes that are here that they have the same file.
                return self.run(None, piece)
            if isinstance(failure, BadSource):
                return None
            raise
        if answer is None:
            return None
        total = record.total or Version.of(answer).total
        self._part.record = dataclasses.replace(record, url=self._source.url, total=total)
        if piece is None:
            answer.close()
            return self.finish()
        try:
            if total is not None:
                check_size(total, self._limits)
                self._part.map.learn_total(total)
            self._part.reserve()
            return self.run(answer, piece)
        finally:
            answer.close()

    def _ask_rest(self, record: Record, start: int, end: int | None) -> Answer | None:
        """The answer that continues the part; None when there can't be one."""
        url, same = self._source.url, self._source.url == record.url
        version = Version(record.etag, record.modified, record.digest, record.total)
        while True:
            self._report()
            try:
                answer = ask_range(self._fetcher, url, self._source.headers_for(url), start, end, version)
            except Refused as refused:
                if same and refused.status in _EXPIRED:
                    raise ExpiredUrl(f"{refused.failure} It gave a part of the file before.") from refused
                if not isinstance(refused.failure, Transient):
                    raise refused.failure from refused
                self._retries.use(refused.failure, self._report)
            except (Changed, NoRanges) as other:
                if isinstance(other, NoRanges) and other.answer is not None:
                    other.answer.close()
                return None
            else:
                if same or _is_surely_of(answer, record):
                    return answer
                answer.close()
                return None

    def _sites(self, answer: Answer | None) -> Sites:
        record, limits = self._part.record, self._limits
        assert record is not None  # noqa: S101 - `begin` comes first
        version = Version(record.etag, record.modified, record.digest, record.total)
        missing = (record.total or 0) - self._part.map.done
        most = max(1, limits.connections) if missing >= _SMALL_BYTES else 1
        ranged = answer is None or answer.status == 206
        offered = answer.header("Accept-Ranges").strip().lower() if answer else ""
        first = self._site(self._source.url, Adaptation(most, most if ranged or offered == "bytes" else 2), version)
        first.ranged = ranged
        if offered == "none" and not ranged:
            first.adaptation.only_one()
        mirrors = [url for url in self._source.mirrors if most > 1 and self._may_be_asked(url)]
        return Sites(first, [self._site(url, Adaptation(most, 2), None) for url in mirrors], most)

    def _may_be_asked(self, url: str) -> bool:
        try:
            check_url(url, self._fetcher.policy)
        except AddressRefused:
            return False
        return True

    def _site(self, url: str, adaptation: Adaptation, version: Version | None) -> Site:
        return Site(url, self._source.headers_for(url), adaptation, version)

    def _sniffed(self, answer: Answer | None) -> Answer:
        """The answer with the file from its beginning: `answer`, or a new one."""
        while True:
            try:
                answer = answer or Answer.open(self._fetcher, self._source.url, headers=dict(self._source.headers))
                answer.sniff()
            except Cut as cut:
                failure = cut_failure(cut, answer.length if answer else None, len(answer.head) if answer else 0)
                if answer is not None:
                    answer.close()
                answer = None
                self._retries.use(failure, self._report)
            except Transient as failure:
                self._retries.use(failure, self._report)
            else:
                return answer

    def _report(self) -> None:
        self._progress(self._part.map.done, self._part.map.total)


_TICK_SECONDS = 0.05


def _container(answer: Answer) -> str:
    answer.check_is_media()
    container = container_of(answer.head)
    if container is None or container not in _SUFFIXES:
        known = "MP4, Matroska, WebM, MPEG-TS"
        raise BadSource(f"{display_url(answer.url)} is not a video in a known format ({known}).")
    return container


def _may_be_of(source: Source, record: Record) -> bool:
    """Is the record of one of these URLs, or could it be of a newly signed one of the same file?"""
    if record.url in {source.url, *source.mirrors}:
        return True
    return record.etag == record.validator and urlsplit(source.url).path == urlsplit(record.url).path


def _is_surely_of(answer: Answer, record: Record) -> bool:
    return record.total is not None and answer.header("ETag") == record.etag
