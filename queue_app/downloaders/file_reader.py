"""One connection of a direct download: a thread that fetches one piece after another."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from archive_site.safe_http import Cut, FetchError, display_url
from queue_app.downloaders.answer import Answer, as_failure, cut_failure
from queue_app.downloaders.base import check_size
from queue_app.downloaders.connections import Slot
from queue_app.downloaders.pieces import Piece
from queue_app.downloaders.sites import Site
from queue_app.downloaders.version import Changed, NoRanges, Refused, Version, ask_range, end_of

if TYPE_CHECKING:
    from queue_app.downloaders.file_crew import Crew

_SMALL_READ = 128 * 1024
_GATHER_SECONDS = 0.01


class Reader:
    """Fetches a piece from `site`, then what the crew gives it next; an `answer` begins where the first piece does."""

    def __init__(
        self, crew: Crew, site: Site, piece: Piece, answer: Answer | None, slot: Slot | None, *, probe: bool = False
    ) -> None:
        self.site, self.probe = site, probe
        self.got = 0
        """Bytes of the answer that is being read."""
        self.proven = False
        """Has it ever got any?"""
        self.failures = 0
        """How many answers in a row brought nothing."""
        self.drops = 0
        self.asked_at = time.monotonic()
        self.samples: deque[tuple[float, int]] = deque(maxlen=5)
        """When it had got how much of this answer."""
        self._crew, self._piece, self._answer, self._slot = crew, piece, answer, slot
        self._body: Iterator[bytes] = answer.pieces() if answer else iter(())
        self._at = piece.position
        self._end = end_of(answer) if answer else None
        self._begun = self._dropped = self._retired = False

    def run(self) -> None:
        """The thread's life."""
        self._begun = True
        try:
            if self._slot is None:
                self._slot = self._crew.slots.wait(self.site.url, self._crew.stopped)
            while not self._retired and not self._crew.stopped.is_set():
                self._fetch()
        except Exception as error:  # noqa: BLE001 - the crew raises it in the caller's thread
            self._crew.fail(error)
        finally:
            self._close_answer()
            self._crew.map.release(self._piece)
            if self._slot is not None:
                self._slot.close()
            self._crew.left(self)

    def drop(self) -> None:
        """Give up this connection for a new one; called by another thread."""
        self._dropped = True
        self._wake()

    def stop(self) -> None:
        """Wake the thread up when it waits for bytes, or give back what it never began with; for another thread."""
        if not self._begun and self._slot is not None:
            self._slot.close()
        self._wake()

    def _wake(self) -> None:
        if (answer := self._answer) is not None:
            answer.stop()

    def _fetch(self) -> None:
        try:
            if self._answer is not None or self._ask():
                self._read()
        except Cut as cut:
            self._after(Refused(cut_failure(cut, self._crew.map.total, self._crew.map.done)))
        except FetchError as error:
            self._after(Refused(as_failure(error)))
        except Refused as refused:
            self._after(refused)
        except NoRanges as none:
            self._close_answer()
            self._after_no_ranges(none)
        except Changed as changed:
            self._crew.changed(self.site, changed)
            self._retired = True
        else:
            self._go_on()

    def _ask(self) -> bool:
        """Ask for the rest of the piece; False when others have brought it meanwhile."""
        self.got, self.asked_at, self._dropped = 0, time.monotonic(), False
        self.samples.clear()
        piece, version = self._piece, self.site.version
        assert version is not None  # noqa: S101 - only verified sites are chosen
        self._at, end = piece.rest()
        if self._at >= end:
            return False
        total = self._crew.map.total
        last = end if total is not None else None
        answer = ask_range(self._crew.fetcher, self.site.url, self.site.headers, self._at, last, version)
        self._answer, self._body, self._end = answer, answer.pieces(), end_of(answer)
        self._crew.gave_range(self)
        found = Version.of(answer).total
        if total is None and found is not None:
            check_size(found, self._crew.limits)
            self._crew.map.learn_total(found)
            self.site.version = dataclasses.replace(version, total=found)
        return True

    def _read(self) -> None:
        """Read until nothing more of this answer is wanted. Raises Cut when it ends before."""
        for data in self._body:
            if self._dropped or self._crew.stopped.is_set():
                raise Cut(f"{display_url(self.site.url)} was left.")
            self.got += len(data)
            if self._crew.map.total is None:
                check_size(self._at + len(data), self._crew.limits)
            self._crew.throttle.take(len(data), self._crew.stopped)
            if not self._deliver(data):
                return
            if len(data) < _SMALL_READ:
                # Many small pieces cost more than few larger ones; the kernel gathers them meanwhile.
                time.sleep(_GATHER_SECONDS)
        if self._crew.map.total is None:
            check_size(self._at, self._crew.limits)
            self._crew.map.learn_total(self._at)
        elif self._piece.missing:
            raise Cut(f"{display_url(self.site.url)} ended early.")

    def _deliver(self, data: bytes) -> bool:
        """Put the bytes where they belong; is more of this answer wanted?"""
        while not self._piece.put(self._at, data, self._crew.part.write):
            goes_on = self._end is None or self._end > self._piece.end
            following = self._crew.map.follow(self._piece, time.monotonic()) if goes_on else None
            if following is None:
                self._at += len(data)
                return False
            self._crew.map.release(self._piece)
            self._piece = following
        self._at += len(data)
        return True

    def _go_on(self) -> None:
        if self._answer is not None and self._at == self._end:
            # Read to its very end, the connection can be used again.
            with contextlib.suppress(Cut):
                next(self._body, b"")
        self._close_answer()
        if self.got:
            self.proven, self.failures = True, 0
        following = self._crew.next_piece(self, self._piece)
        if following is None:
            self._retired = True
        else:
            self._piece = following

    def _after(self, refused: Refused) -> None:
        self._close_answer()
        if self._crew.stopped.is_set():
            return
        if self._dropped:
            self.drops += 1
            return
        if self.got:
            self.proven = True
        wait = self._crew.after_trouble(self, refused)
        self.got = 0
        if wait is None:
            self._retired = True
        else:
            self._crew.stopped.wait(wait)

    def _after_no_ranges(self, none: NoRanges) -> None:
        if self.site.ranged:
            if none.answer is not None:
                none.answer.close()
            self._after(self._crew.ignored_range(self.site))
            return
        self._crew.has_no_ranges(self, none)
        self._retired = True

    def _close_answer(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.close()
