"""A plain HLS video: its segments, several at once, written in order to one file, on from the last whole one."""

from __future__ import annotations

import dataclasses
import shutil
import threading
from collections import deque
from concurrent.futures import Future, wait
from pathlib import Path
from queue import SimpleQueue
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import IO, Self

from archive_site.safe_http import Cut, Fetcher
from queue_app.downloaders.answer import Answer, cut_failure
from queue_app.downloaders.base import (
    Downloaded,
    Limits,
    ProgressSink,
    Retries,
    Source,
    check_size,
)
from queue_app.downloaders.part import Part, Record
from queue_app.downloaders.playlist import MediaPlaylist, choose_variant, decode, is_master, read_media
from queue_app.failures import BadSource, Cancelled, Failure, Gone, Transient
from queue_app.media.containers import container_of

_IN_MEMORY_BYTES = 4 * 1024 * 1024
_WINDOW_PER_CONNECTION = 2
_PROGRESS_SECONDS = 0.2


def download(
    fetcher: Fetcher,
    source: Source,
    answer: Answer,
    folder: Path,
    limits: Limits,
    progress: ProgressSink,
) -> Downloaded:
    """Write the stream whose sniffed master or media playlist is `answer` to segments.ts or segments.mp4.

    Goes on with the first segment that `folder` lacks if it is of the same playlist. Closes `answer`. Raises Cancelled
    from `progress`, and BadSource, Forbidden, Gone, Transient, TooLarge, DiskFull; what was written is then left in
    `folder`.
    """
    playlist = _media_playlist(fetcher, answer, limits, progress, source.resolution)
    identity = playlist.identity()
    with Part(folder, limits, progress) as part:
        if part.record is None or part.record.playlist != identity:
            part.restart()
            container, name = ("fmp4", "segments.mp4") if playlist.init else ("mpegts", "segments.ts")
            record = Record(source.url, source.resolution, container, name)
            part.begin(dataclasses.replace(record, playlist=identity, duration=playlist.duration))
        with _Crew(fetcher, part, limits) as crew:
            _write_in_order(playlist, crew, part, limits, progress)
        return part.finish()


def finished(source: Source, folder: Path) -> Downloaded | None:
    """The whole stream if an earlier call has brought it."""
    with Part(folder, Limits(max_bytes=0), lambda _done, _total: None) as part:
        whole = part.whole
        if whole and whole.playlist and (whole.url, whole.resolution) == (source.url, source.resolution):
            return part.finish()
    return None


def forget(folder: Path) -> None:
    """Remove what an earlier call left."""
    with Part(folder, Limits(max_bytes=0), lambda _done, _total: None) as part:
        if part.record is not None and part.record.playlist:
            part.remove()


def _media_playlist(
    fetcher: Fetcher, answer: Answer, limits: Limits, progress: ProgressSink, resolution: str | None
) -> MediaPlaylist:
    text, base_url = _read_playlist(answer, limits, progress)
    if is_master(text):
        text, base_url = _fetch_playlist(fetcher, choose_variant(text, base_url, resolution), limits, progress)
    return read_media(text, base_url, limits)


def _fetch_playlist(fetcher: Fetcher, url: str, limits: Limits, progress: ProgressSink) -> tuple[str, str]:
    retries = Retries(limits)
    while True:
        try:
            return _read_playlist(Answer.open(fetcher, url, decode=True), limits, progress)
        except Transient as failure:
            retries.use(failure, lambda: progress(0, None))


def _read_playlist(answer: Answer, limits: Limits, progress: ProgressSink) -> tuple[str, str]:
    """The playlist's text and the URL that its own URLs are relative to."""
    body = bytearray()
    try:
        with answer:
            for piece in answer.pieces():
                progress(0, None)
                body += piece
                if len(body) > limits.max_playlist_bytes:
                    raise BadSource(f"The playlist is larger than {limits.max_playlist_bytes} bytes.")
    except Cut as cut:
        raise cut_failure(cut, answer.length, len(body)) from cut
    return decode(bytes(body)), answer.url


def _write_in_order(playlist: MediaPlaylist, crew: _Crew, part: Part, limits: Limits, progress: ProgressSink) -> None:
    written = part.record.segments if part.record else 0
    urls = deque([*([playlist.init] if playlist.init else []), *playlist.segments][written:])
    number = written + (0 if playlist.init else 1)
    total = len(playlist.segments)
    under_way: deque[Future[IO[bytes]]] = deque()
    while urls or under_way:
        while urls and len(under_way) < limits.hls_connections * _WINDOW_PER_CONNECTION:
            under_way.append(crew.fetch(urls.popleft(), f"Segment {number} of {total}"))
            number += 1
        with _result(under_way.popleft(), crew, progress) as segment:
            if part.done == 0:
                _check_beginning(segment, fragmented=playlist.init is not None)
            shutil.copyfileobj(segment, part, 1024 * 1024)
        written += 1
        part.reach(written)
        check_size(part.done, limits)


def _result(future: Future[IO[bytes]], crew: _Crew, progress: ProgressSink) -> IO[bytes]:
    while not future.done():
        progress(crew.bytes_done, None)
        wait([future], _PROGRESS_SECONDS)
    progress(crew.bytes_done, None)
    return future.result()


def _check_beginning(segment: IO[bytes], *, fragmented: bool) -> None:
    container = container_of(segment.read(1024))
    segment.seek(0)
    if container != ("mp4" if fragmented else "mpegts"):
        raise BadSource(
            f"The stream's first segment is {container or 'of an unknown format'}, "
            f"but {'fragmented MP4' if fragmented else 'MPEG-TS'} was expected."
        )


class _Crew:
    """A few threads that fetch segments into nameless temporary files, which vanish with their last user.

    Threads of `concurrent.futures` would hold up the end of the process while a source is silent; these are
    daemons.
    """

    def __init__(self, fetcher: Fetcher, part: Part, limits: Limits) -> None:
        self.bytes_done = part.done
        self._fetcher, self._folder, self._limits = fetcher, part.folder, limits
        self._jobs: SimpleQueue[tuple[str, str, Future[IO[bytes]]] | None] = SimpleQueue()
        self._open_answers: set[Answer] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def __enter__(self) -> Self:
        for _ in range(self._limits.hls_connections):
            threading.Thread(target=self._work, name="hls-segment", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        for _ in range(self._limits.hls_connections):
            self._jobs.put(None)
        with self._lock:
            for answer in self._open_answers:
                answer.stop()

    def fetch(self, url: str, name: str) -> Future[IO[bytes]]:
        """The segment as an open file at its beginning, later; `name` is what failures call it."""
        future: Future[IO[bytes]] = Future()
        self._jobs.put((url, name, future))
        return future

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None and not self._stopped.is_set():
            url, name, future = job
            try:
                future.set_result(self._fetch_patiently(url, name))
            except Exception as error:  # noqa: BLE001 - it is raised where the result is asked for
                future.set_exception(error)

    def _fetch_patiently(self, url: str, name: str) -> IO[bytes]:
        retries = Retries(self._limits)
        while True:
            try:
                return self._fetch(url, name)
            except Gone as failure:
                raise BadSource(f"{name} is missing at the source. {failure}") from failure
            except Transient as failure:
                retries.use(Transient(f"{name}: {failure}"), self._check_stopped)
            except Failure as failure:
                raise type(failure)(f"{name}: {failure}") from failure

    def _fetch(self, url: str, name: str) -> IO[bytes]:
        answer = Answer.open(self._fetcher, url)
        with self._lock:
            self._open_answers.add(answer)
        file: IO[bytes] = SpooledTemporaryFile(_IN_MEMORY_BYTES, dir=str(self._folder))  # noqa: SIM115
        try:
            self._copy(answer, file)
        except BaseException:
            self._count(-file.tell())
            file.close()
            raise
        finally:
            with self._lock:
                self._open_answers.discard(answer)
            answer.close()
        file.seek(0)
        return file

    def _copy(self, answer: Answer, file: IO[bytes]) -> None:
        try:
            answer.sniff()
            answer.check_is_media(by_type=False)
            for piece in answer.pieces():
                self._check_stopped()
                file.write(piece)
                self._count(len(piece))
                check_size(self.bytes_done, self._limits)
        except Cut as cut:
            self._check_stopped()
            raise cut_failure(cut, answer.length, max(file.tell(), len(answer.head))) from cut

    def _count(self, size: int) -> None:
        with self._lock:
            self.bytes_done += size

    def _check_stopped(self) -> None:
        if self._stopped.is_set():
            raise Cancelled
