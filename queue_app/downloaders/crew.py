"""The threads that fetch an HLS stream's segments: several at once, decrypted and checked whole, each retried alone."""

from __future__ import annotations

import codecs
import random
import threading
import time
from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from queue import SimpleQueue
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import IO, Self

from archive_site.safe_http import Cut, Fetcher
from queue_app.downloaders.answer import Answer, cut_failure
from queue_app.downloaders.base import Limits, Source, check_size
from queue_app.downloaders.body import Busy, ask, wanted_bytes
from queue_app.downloaders.connections import Connections
from queue_app.downloaders.gate import Gate
from queue_app.downloaders.keys import KEY_BYTES, BadPadding, Decryption, KeyRing
from queue_app.downloaders.rate import Throttle
from queue_app.downloaders.segments import Resource
from queue_app.failures import BadSource, Cancelled, Failure, Transient
from queue_app.media.segment_formats import Damaged, check_init, check_whole, kind_of, skip_id3

_AHEAD = 2
"""So many segments beside those under way may wait for the ones before them. A kill costs all of them."""
_IN_MEMORY_BYTES = 48 * 1024 * 1024
"""Of all segments that wait for those before them; what is larger waits in nameless files."""
_SMALL_BYTES = 16 * 1024 * 1024
_TRIES = {"busy": 12, "damaged": 3, "trouble": 3}
"""So often is a segment asked for again; a server with too many requests answers some of them in the end."""
_LONGEST_WAIT = 16
"""In the operator's first wait."""
_SMALL_READ = 128 * 1024
_GATHER_SECONDS = 0.01
_SPARE_THREADS = 2
"""They look into what has come while the others fetch."""


@dataclass(frozen=True)
class Fetched:
    """A whole segment in the clear, `file` standing at its first byte of media."""

    file: IO[bytes]
    kind: str
    """As `segment_formats.kind_of`."""
    timestamp: int | None
    """Of packed audio: where it begins, by a clock of 90 kHz and 33 bits."""


class What(Enum):
    """What a resource must be."""

    SEGMENT = "segment"
    INIT = "init"
    """The beginning of a fragmented MP4 (EXT-X-MAP)."""
    TEXT = "text"
    """WebVTT."""


@dataclass(frozen=True)
class _Job:
    resource: Resource
    sequence: int
    name: str
    """What failures call it."""
    what: What
    future: Future[Fetched]


class Crew:
    """A few threads that fetch segments into nameless temporary files, which vanish with their last user.

    Threads of `concurrent.futures` would hold up the end of the process while a source is silent; these are daemons.
    """

    def __init__(self, fetcher: Fetcher, source: Source, folder: Path, limits: Limits, bytes_done: int) -> None:
        self.bytes_done = bytes_done
        self.window = limits.hls_connections + _AHEAD
        self._fetcher, self._source, self._folder, self._limits = fetcher, source, folder, limits
        self._in_memory = _IN_MEMORY_BYTES // max(1, self.window)
        self._keys = KeyRing(self._fetch_key)
        self._throttle, self._connections = Throttle(limits), Connections(limits)
        self._gate = Gate(limits.hls_connections)
        self._threads = limits.hls_connections + _SPARE_THREADS
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._open_answers: set[Answer] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def __enter__(self) -> Self:
        for _ in range(self._threads):
            threading.Thread(target=self._work, name="hls-segment", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._gate.open()
        for _ in range(self._threads):
            self._jobs.put(None)
        with self._lock:
            for answer in self._open_answers:
                answer.stop()

    def fetch(self, resource: Resource, sequence: int, name: str, what: What = What.SEGMENT) -> Future[Fetched]:
        """The segment, later; the future may also raise Refused.

        `sequence` is its media sequence number, `name` what failures call it.
        """
        future: Future[Fetched] = Future()
        self._jobs.put(_Job(resource, sequence, name, what, future))
        return future

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None and not self._stopped.is_set():
            try:
                job.future.set_result(self._fetch_patiently(job))
            except Exception as error:  # noqa: BLE001 - it is raised where the result is asked for
                job.future.set_exception(error)

    def _fetch_patiently(self, job: _Job) -> Fetched:
        tries: Counter[str] = Counter()
        while True:
            try:
                with self._gate.turn():
                    file, counted = self._fetch_in_turn(job)
                return self._inspected(job, file, counted)
            except Busy as busy:
                self._wait(tries, "busy", Transient(f"{job.name}: {busy.failure}"), busy.wait)
            except Damaged as damage:
                self._wait(tries, "damaged", BadSource(f"{job.name} is damaged at the source: {damage}."))
            except Transient as failure:
                self._wait(tries, "trouble", Transient(f"{job.name}: {failure}"))
            except Failure as failure:
                raise type(failure)(f"{job.name}: {failure}") from failure

    def _fetch_in_turn(self, job: _Job) -> tuple[IO[bytes], int]:
        try:
            fetched = self._fetch(job)
        except Busy:
            self._gate.complained()
            raise
        self._gate.succeeded()
        return fetched

    def _inspected(self, job: _Job, file: IO[bytes], counted: int) -> Fetched:
        try:
            file.seek(0)
            return _inspect(job, file)
        except BaseException:
            self._count(-counted)
            file.close()
            raise

    def _wait(self, tries: Counter[str], trouble: str, failure: Failure, at_least: float | None = None) -> None:
        """Before the next try, for longer each time; raise `failure` when there were enough of them."""
        self._check_stopped()
        if tries[trouble] >= _TRIES[trouble]:
            raise failure
        seconds = self._limits.retry_wait * min(2 ** tries[trouble], _LONGEST_WAIT)
        tries[trouble] += 1
        jitter = random.uniform(0.5, 1.5)  # noqa: S311 - spreads load, keeps no secret
        self._stopped.wait(max(seconds * jitter, at_least or 0.0))

    def _fetch(self, job: _Job) -> tuple[IO[bytes], int]:
        """What came, in the clear, and how many bytes it was."""
        decryption = None
        if job.resource.key:
            key = self._keys.get(job.resource.key.url)
            decryption = Decryption(key, job.resource.key.iv_for(job.sequence))
        file: IO[bytes] = SpooledTemporaryFile(self._in_memory, dir=str(self._folder))  # noqa: SIM115
        try:
            return file, self._receive(job, file, decryption)
        except BaseException:
            file.close()
            raise

    def _receive(self, job: _Job, file: IO[bytes], decryption: Decryption | None) -> int:
        """Write the resource's bytes in the clear to `file`; returns how many came, which are counted."""
        came, resource = 0, job.resource
        with self._connections.slot(resource.url, self._stopped):
            self._check_stopped()
            answer = ask(self._fetcher, self._source, resource)
            try:
                self._register(answer)
                answer.sniff()
                if job.what is not What.TEXT:
                    answer.check_is_media(by_type=False)
                for piece in wanted_bytes(answer, resource):
                    self._check_stopped()
                    file.write(decryption.update(piece) if decryption else piece)
                    came += len(piece)
                    self._count(len(piece))
                    check_size(self.bytes_done, self._limits)
                    self._throttle.take(len(piece), self._stopped)
                    if len(piece) < _SMALL_READ < (answer.length or 0) - came:
                        # Many small pieces cost more than few larger ones; the kernel gathers them meanwhile.
                        time.sleep(_GATHER_SECONDS)
                if decryption:
                    file.write(decryption.finish())
            except BaseException as error:
                self._count(-came)
                self._check_stopped()
                raise self._as_ours(error, answer, came) from error
            finally:
                self._close(answer)
        return came

    def _register(self, answer: Answer) -> None:
        """From now on `__exit__` wakes up whoever reads it; call before the first byte is read."""
        with self._lock:
            self._open_answers.add(answer)
        self._check_stopped()

    def _close(self, answer: Answer) -> None:
        with self._lock:
            self._open_answers.discard(answer)
        answer.close()

    def _as_ours(self, error: BaseException, answer: Answer, came: int) -> BaseException:
        if isinstance(error, Cut):
            return cut_failure(error, answer.length, max(came, len(answer.head)))
        if isinstance(error, BadPadding):
            return Damaged("it can't be decrypted, so its key is wrong or its end is missing")
        return error

    def _fetch_key(self, url: str) -> bytes:
        body = b""
        answer = ask(self._fetcher, self._source, Resource(url))
        try:
            self._register(answer)
            for piece in answer.pieces():
                body += piece
                if len(body) > KEY_BYTES:
                    break
        except Cut as cut:
            self._check_stopped()
            raise cut_failure(cut, answer.length, len(body)) from cut
        finally:
            self._close(answer)
        return body

    def _count(self, size: int) -> None:
        with self._lock:
            self.bytes_done += size

    def _check_stopped(self) -> None:
        if self._stopped.is_set():
            raise Cancelled


def _inspect(job: _Job, file: IO[bytes]) -> Fetched:
    """What is in `file`. Raises Damaged when it isn't whole, BadSource when it can't be used."""
    if job.what is not What.SEGMENT:
        content = file.read(_SMALL_BYTES + 1)
        if len(content) > _SMALL_BYTES:
            raise BadSource("it is far too large.")
        file.seek(0)
        if job.what is What.TEXT:
            if not content.removeprefix(codecs.BOM_UTF8).startswith(b"WEBVTT"):
                raise BadSource("it is no WebVTT.")
        elif reason := check_init(content, file):
            raise BadSource(f"The stream is {reason}, which Reelkeep does not touch.")
        file.seek(0)
        return Fetched(file, job.what.value, None)
    timestamp = skip_id3(file)
    kind = kind_of(file)
    if kind is None:
        if job.resource.key:
            raise Damaged("what was decrypted is no video, so its key is wrong")
        raise BadSource("it is of an unknown format; MPEG-TS was expected.")
    check_whole(file, kind)
    return Fetched(file, kind, timestamp)
