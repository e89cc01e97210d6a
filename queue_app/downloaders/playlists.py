"""Fetching the playlists of a stream: the one that was asked for, and those that it leads to."""

from __future__ import annotations

from collections.abc import Mapping

from archive_site.safe_http import Cut, Fetcher
from queue_app.downloaders.answer import Answer, cut_failure
from queue_app.downloaders.base import Limits, ProgressSink, Retries, Source
from queue_app.downloaders.playlist import Playlist
from queue_app.downloaders.variants import Rendition, Selection, select
from queue_app.failures import BadSource, Forbidden, Gone, Transient


class Playlists:
    """The playlists of `source`. What any of its methods raises is BadSource, Forbidden, Gone, or Transient."""

    def __init__(self, fetcher: Fetcher, source: Source, limits: Limits, progress: ProgressSink) -> None:
        self.bytes_done = 0
        """What `progress` is told meanwhile."""
        self._fetcher, self._source, self._limits, self._progress = fetcher, source, limits, progress
        self._variables: Mapping[str, str] = {}
        self._unread: Playlist | None = None

    def open(self, answer: Answer) -> Selection:
        """Which playlists make up the video, by the first one, whose sniffed answer this is; closes it."""
        self.selection = self._select(self._read(answer, {}))
        return self.selection

    def track(self, index: int) -> Playlist:
        """The media playlist of the main track (0) or of an audio track, as it is now.

        One that is refused may have been signed for a time that is over: the one that led to it is asked again.
        """
        if index == 0 and self._unread is not None:
            playlist, self._unread = self._unread, None
            return playlist
        try:
            return self.get(self._rendition(index))
        except (Forbidden, Gone):
            again = self._patiently(self._source.url, {})
            self.selection = self._select(again)
            if index == 0 and self._unread is not None:
                return self.track(index)
            return self.get(self._rendition(index))

    def get(self, rendition: Rendition) -> Playlist:
        """The media playlist of a rendition."""
        return self._patiently(rendition.url or "", self._variables)

    def _rendition(self, index: int) -> Rendition:
        tracks = (self.selection.main, *self.selection.audio)
        if index >= len(tracks):
            raise BadSource("The master playlist has other tracks than before.")
        return tracks[index]

    def _select(self, first: Playlist) -> Selection:
        if not first.is_master:
            self._unread, self._variables = first, {}
            return Selection(Rendition(self._source.url))
        selection = select(first, self._source.resolution)
        self._variables = dict(first.variables.known)
        return selection

    def _patiently(self, url: str, imported: Mapping[str, str]) -> Playlist:
        retries = Retries(self._limits)
        while True:
            self._progress(self.bytes_done, None)
            try:
                headers = self._source.headers_for(url)
                return self._read(Answer.open(self._fetcher, url, headers=headers, decode=True), imported)
            except Transient as failure:
                retries.use(failure, lambda: self._progress(self.bytes_done, None))

    def _read(self, answer: Answer, imported: Mapping[str, str]) -> Playlist:
        body = bytearray()
        try:
            with answer:
                for piece in answer.pieces():
                    self._progress(self.bytes_done, None)
                    body += piece
                    if len(body) > self._limits.max_playlist_bytes:
                        raise BadSource(f"The playlist is larger than {self._limits.max_playlist_bytes} bytes.")
        except Cut as cut:
            raise cut_failure(cut, answer.length, len(body)) from cut
        return Playlist.read(bytes(body), answer.url, imported)
