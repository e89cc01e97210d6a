"""Where the bytes of one file come from: its URL, and mirrors that have shown that they have the same file."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from archive_site.safe_http import Fetcher, FetchError
from queue_app.downloaders.adaptation import Adaptation
from queue_app.downloaders.connections import Connections
from queue_app.downloaders.file_part import FilePart
from queue_app.downloaders.version import Changed, NoRanges, Refused, Version, ask_range
from queue_app.failures import Transient

_SAMPLE_BYTES = 64 * 1024
_SAMPLES = 3
_SAMPLE_SECONDS = 2.0
"""So long it is waited for bytes from several places to compare."""


class Site:
    """One URL of the file, and what is known of it."""

    def __init__(
        self, url: str, headers: dict[str, str], adaptation: Adaptation, version: Version | None = None
    ) -> None:
        self.url, self.headers, self.adaptation = url, headers, adaptation
        self.version = version
        """None while it isn't known whether it has the same file."""
        self.running = 0
        """How many connections read from it."""
        self.ranged = False
        """Has it given a range?"""
        self.dropped = False

    @property
    def usable(self) -> bool:
        """May bytes be fetched from it?"""
        return self.version is not None and not self.dropped


class Sites:
    """All URLs of one file, the first of them the one whose bytes the others are measured by.

    Its user keeps calls from several threads apart, except for `verify`.
    """

    def __init__(self, first: Site, mirrors: Sequence[Site], connections: int) -> None:
        self.first, self.all = first, [first, *mirrors]
        self.hope: Transient | None = None
        """Why a mirror that may still have the file was left."""
        self._connections = connections
        self._verifying = False

    @property
    def running(self) -> int:
        """Connections that read, of all sites."""
        return sum(site.running for site in self.all)

    def choose(self, now: float) -> Site | None:
        """Where another connection should be opened; None when there are enough."""
        usable = [site for site in self.all if site.usable]
        if self.running >= self._connections:
            return None
        able = [site for site in usable if site.adaptation.may_start(site.running, now)]
        if not able and self.running == 0:
            able = usable
        return min(able, key=lambda site: site.running, default=None)

    def has_too_many(self, site: Site, now: float) -> bool:
        """Should a connection to `site` end so that another site gets its share, or because it bears fewer?"""
        if site.dropped or site.running > max(1, site.adaptation.allowed):
            return True
        others = [other for other in self.all if other.usable and other is not site]
        return any(
            other.running + 1 < site.running and other.adaptation.may_start(other.running, now) for other in others
        )

    def has_alternative(self, site: Site, now: float) -> bool:
        """Could another site go on at once?"""
        return any(
            other.usable and other is not site and other.adaptation.may_start(other.running, now) for other in self.all
        )

    def verifying(self, part: FilePart) -> bool:
        """Is it being found out whether a mirror has the same file, or going to be?"""
        return _enough(part) and any(site.version is None and not site.dropped for site in self.all)

    def give_up(self, site: Site) -> bool:
        """Use `site` no more, if another one is left; has it been given up?"""
        if any(other.usable for other in self.all if other is not site):
            site.dropped = True
        return site.dropped

    def start_verifying(self, fetcher: Fetcher, part: FilePart, slots: Connections, stopped: threading.Event) -> None:
        """Compare the mirrors, one after another in a thread, with what the first site has given; once."""
        waiting = [site for site in self.all if site.version is None and not site.dropped]
        if not waiting or self._verifying or not _enough(part):
            return
        self._verifying = True
        arguments = (waiting, fetcher, part, slots, stopped)
        threading.Thread(target=self._verify, args=arguments, name="direct-mirrors", daemon=True).start()

    def _verify(
        self,
        waiting: list[Site],
        fetcher: Fetcher,
        part: FilePart,
        slots: Connections,
        stopped: threading.Event,
    ) -> None:
        for site in waiting:
            with slots.slot(site.url, stopped) as given:
                if not given:
                    return
                try:
                    site.version = self._same_version(site, fetcher, part, stopped)
                except Refused as refused:
                    if isinstance(refused.failure, Transient):
                        self.hope = refused.failure
                except (Changed, FetchError, OSError):
                    site.version = None
                except NoRanges as none:
                    if none.answer is not None:
                        none.answer.close()
            site.dropped = site.version is None

    def _same_version(self, site: Site, fetcher: Fetcher, part: FilePart, stopped: threading.Event) -> Version | None:
        """What the mirror has, if it is the file that the first site has as far as can be told."""
        version, mine = Version(), self.first.version
        for start in _samples(part):
            if stopped.is_set():
                return None
            expected = part.read(start, _SAMPLE_BYTES)
            with ask_range(fetcher, site.url, site.headers, start, start + len(expected), version) as answer:
                version = Version.of(answer)
                if mine is None or not mine.may_mirror(version) or b"".join(answer.pieces()) != expected:
                    return None
        return version


def _enough(part: FilePart) -> bool:
    """Is there something to compare a mirror with?"""
    return part.map.total is not None and part.map.front() >= min(_SAMPLE_BYTES, part.map.total)


def _samples(part: FilePart) -> list[int]:
    """Where to compare: the beginning, and what lies as far from it as possible."""
    size = min(_SAMPLE_BYTES, part.map.total or 0)
    deadline = time.monotonic() + _SAMPLE_SECONDS
    while True:
        runs = [run for run in part.map.runs() if run.end - run.start >= size]
        if len(runs) >= _SAMPLES or part.map.complete or time.monotonic() > deadline:
            break
        time.sleep(_SAMPLE_SECONDS / 20)
    ends = {part.map.front() - size, *(run.end - size for run in runs)}
    return [0, *sorted(ends)[1 - _SAMPLES :]]
