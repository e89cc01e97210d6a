"""The connections that fetch one file together, and the caller's thread that looks after them."""

from __future__ import annotations

import random
import statistics
import threading
import time
from types import TracebackType
from typing import Self

from archive_site.safe_http import Fetcher, display_url
from queue_app.downloaders.adaptation import PROGRESS_BYTES, Patience, may_be_too_many
from queue_app.downloaders.answer import Answer
from queue_app.downloaders.base import Limits, ProgressSink
from queue_app.downloaders.connections import Connections, Slot
from queue_app.downloaders.file_part import FilePart
from queue_app.downloaders.file_reader import Reader
from queue_app.downloaders.pieces import Piece
from queue_app.downloaders.rate import Throttle
from queue_app.downloaders.sites import Site, Sites
from queue_app.downloaders.version import Changed, NoRanges, Refused
from queue_app.failures import ExpiredUrl, Failure, Transient

_TICK_SECONDS = 0.05
_SAMPLE_SECONDS = 0.5
_SLOW_SHARE = 0.25
_SLOW_AFTER = 2.0
"""Seconds before a connection may be called slow; twice as many after each time that it was."""
_QUICK_RETRY = 0.2
_MIRROR_SECONDS = 0.5
"""Between two tries of the last site while it isn't known yet whether a mirror has the same file."""
_EXPIRED = {401, 403, 410}


class StartAgain(Exception):
    """The file can't be continued, only read again; `answer`, if given, begins with its first byte."""

    def __init__(self, answer: Answer | None) -> None:
        super().__init__("start again")
        self.answer = answer


class Crew:
    """A context manager: on leaving, its threads are told to stop; late writes are the part's to refuse."""

    def __init__(self, fetcher: Fetcher, part: FilePart, sites: Sites, limits: Limits, patience: Patience) -> None:
        self.fetcher, self.part, self.limits = fetcher, part, limits
        self.map = part.map
        self.throttle, self.slots = Throttle(limits), Connections(limits)
        self.stopped = threading.Event()
        self._over = threading.Event()
        self._sites, self._patience = sites, patience
        self._lock = threading.Lock()
        self._readers: set[Reader] = set()
        self._problem: Exception | None = None
        self._sampled_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stop()
        except BaseException:
            self._stop()  # a signal interrupts once; the threads must end all the same
            raise

    def run(self, piece: Piece, answer: Answer | None, progress: ProgressSink) -> None:
        """Fetch all that is missing, beginning with a claimed `piece`; `answer`, if given, is at its beginning.

        Raises StartAgain, Changed, what `progress` raises, and the Failure that ended it.
        """
        self._start(self._sites.first, piece, answer, self.slots.try_slot(self._sites.first.url))
        self._staff()
        reserved = self.map.total is not None
        while not self._over.wait(_TICK_SECONDS):
            if not reserved and self.map.total is not None:
                self.part.reserve()
                reserved = True
            progress(self.map.done, self.map.total)
            self.part.check()
            self._staff()
            self._drop_slow(time.monotonic())
            self._sites.start_verifying(self.fetcher, self.part, self.slots, self.stopped)
        if self._problem is not None:
            raise self._problem

    def fail(self, error: Exception) -> None:
        """End it with `error`; only the first counts."""
        with self._lock:
            self._problem = self._problem or error
        self._over.set()

    def left(self, reader: Reader) -> None:
        """The reader's thread has ended."""
        with self._lock:
            self._forget(reader)
        if self.map.complete:
            self._over.set()

    def gave_range(self, reader: Reader) -> None:
        """The reader has been given a range."""
        with self._lock:
            reader.site.ranged = True
            reader.site.adaptation.worked(probe=reader.probe)
            reader.probe = False

    def next_piece(self, reader: Reader, piece: Piece) -> Piece | None:
        """Give back `piece`; what the reader should fetch then, None when it should end (and `piece` is still its)."""
        now = time.monotonic()
        if self.map.complete:
            self._over.set()
            return None
        several = self._sites.running > 1
        if several and self.slots.wanted(reader.site.url):
            return None
        with self._lock:
            if several and self._sites.has_too_many(reader.site, now):
                return None
        following = self.map.claim(now)
        if following is not None:
            self.map.release(piece)
        return following

    def after_trouble(self, reader: Reader, refused: Refused) -> float | None:
        """Seconds until the reader should ask again; None when it should end. Raises the Failure when it is over."""
        now, site = time.monotonic(), reader.site
        with self._lock:
            if len(self._readers) == 1 and not self._sites.has_alternative(site, now):
                if self._sites.verifying(self.part):
                    return _MIRROR_SECONDS
                failure = self._failure(refused)
                if failure.permanent and self._sites.hope is not None:
                    raise self._sites.hope from failure
                return self._patience.strike(failure, self.map.done, refused.retry_after)
            if reader.got >= PROGRESS_BYTES:
                reader.failures = 0
                return 0.0
            reader.failures += 1
            if reader.proven and reader.failures == 1 and refused.retry_after is None:
                return _jittered(_QUICK_RETRY)
            site.adaptation.refused(site.running, now, probe=reader.probe, retry_after=refused.retry_after)
            if not may_be_too_many(refused) or site.running == 1:
                self._sites.give_up(site)
            self._forget(reader)
            return None

    def changed(self, site: Site, changed: Changed) -> None:
        """A site has another file now: a mirror is given up, of the file itself it is the end."""
        with self._lock:
            mirror = site is not self._sites.first and self._sites.give_up(site)
        if not mirror:
            self.fail(changed)

    def ignored_range(self, site: Site) -> Refused:
        """What it means when a site that gave ranges before doesn't this time."""
        where = display_url(site.url)
        return Refused(Transient(f"{where} sometimes answers with another range than was asked for."))

    def has_no_ranges(self, reader: Reader, none: NoRanges) -> None:
        """A site has never given a range: whoever reads the file from its beginning must go on alone."""
        with self._lock:
            reader.site.adaptation.only_one()
            last = len(self._readers) == 1
            mirror = reader.site is not self._sites.first and self._sites.give_up(reader.site)
            self._forget(reader)
        if last and not mirror:
            self.fail(StartAgain(none.answer))
        elif none.answer is not None:
            none.answer.close()

    def _stop(self) -> None:
        self.stopped.set()
        with self._lock:
            readers = list(self._readers)
        for reader in readers:
            reader.stop()

    def _failure(self, refused: Refused) -> Failure:
        if refused.status in _EXPIRED and self.map.done:
            return ExpiredUrl(f"{refused.failure} It gave a part of the file before, so its URL may have expired.")
        return refused.failure

    def _staff(self) -> None:
        """Open as many connections as the sites bear and there is work for."""
        while not self._over.is_set():
            now = time.monotonic()
            with self._lock:
                site = self._sites.choose(now)
            if site is None or (slot := self._slot(site)) is None:
                return
            piece = self.map.claim(now)
            if piece is None:
                slot.close()
                return
            self._start(site, piece, None, slot)

    def _slot(self, site: Site) -> Slot | None:
        return None if self._sites.running and self.slots.wanted(site.url) else self.slots.try_slot(site.url)

    def _start(self, site: Site, piece: Piece, answer: Answer | None, slot: Slot | None) -> None:
        with self._lock:
            probe = site.adaptation.start(site.running, time.monotonic())
            reader = Reader(self, site, piece, answer, slot, probe=probe)
            self._readers.add(reader)
            site.running += 1
        threading.Thread(target=reader.run, name="direct-reader", daemon=True).start()

    def _forget(self, reader: Reader) -> None:
        if reader in self._readers:
            self._readers.remove(reader)
            reader.site.running -= 1

    def _drop_slow(self, now: float) -> None:
        """Give up connections below a quarter of the median; under a cap of ours speed says nothing of the source."""
        if now - self._sampled_at < _SAMPLE_SECONDS or self.limits.max_rate is not None:
            return
        self._sampled_at = now
        with self._lock:
            readers = list(self._readers)
        speeds: dict[Reader, float] = {}
        for reader in readers:
            reader.samples.append((now, reader.got))
            (began, first), (ended, last) = reader.samples[0], reader.samples[-1]
            if ended > began:
                speeds[reader] = max(0, last - first) / (ended - began)
        if len(speeds) < 3:
            return
        limit = _SLOW_SHARE * statistics.median(speeds.values())
        for reader, speed in speeds.items():
            if speed < limit and now - reader.asked_at > _SLOW_AFTER * 2**reader.drops:
                reader.drop()


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.5, 1.5)  # noqa: S311 - spreads load, keeps no secret
