"""An HLS stream (RFC 8216), from its playlist to one file for each of its groups, on from the last whole segment."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from archive_site.safe_http import Fetcher
from queue_app.downloaders.answer import Answer, may_have_expired
from queue_app.downloaders.base import Downloaded, Limits, ProgressSink, Source, is_full_disk
from queue_app.downloaders.crew import Crew
from queue_app.downloaders.feed import Feed
from queue_app.downloaders.head_start import HeadStart
from queue_app.downloaders.playlists import Playlists
from queue_app.downloaders.recording import Recording
from queue_app.downloaders.reel import Mark, Reel, TrackMark, read_mark, remove_reel
from queue_app.downloaders.room import Room
from queue_app.downloaders.subtitles import keep_subtitles
from queue_app.downloaders.variants import Selection
from queue_app.failures import ExpiredUrl, Forbidden, Gone


def download(
    fetcher: Fetcher,
    source: Source,
    answer: Answer,
    folder: Path,
    limits: Limits,
    progress: ProgressSink,
) -> Downloaded:
    """Write the stream whose sniffed master or media playlist is `answer` to files `stream-…` in `folder`.

    Goes on with the first segment that `folder` lacks if it is of the same stream. Closes `answer`. Raises Cancelled
    from `progress`, and BadSource, Forbidden, Gone, ExpiredUrl, Transient, TooLarge, DiskFull; what was written is then
    left in `folder`. With `limits.tools`, a plain VOD stream is put into an MP4 file meanwhile.
    """
    playlists = Playlists(fetcher, source, limits, progress)
    playlists.open(answer)
    try:
        return _record(fetcher, source, playlists, folder, limits, progress)
    except OSError as error:
        if limits.tools is None or not is_full_disk(error):
            raise
    # The MP4 that was made meanwhile is gone, so there may be room for the stream alone.
    return _record(fetcher, source, playlists, folder, replace(limits, tools=None), progress)


def _record(
    fetcher: Fetcher, source: Source, playlists: Playlists, folder: Path, limits: Limits, progress: ProgressSink
) -> Downloaded:
    with Reel(folder, limits, progress) as reel:
        feeds = _start(playlists, reel, source, playlists.selection, limits)
        assert reel.mark is not None  # noqa: S101 - `_start` has made sure
        room = Room(reel, feeds)
        with HeadStart(reel, feeds, limits, room) as head_start:

            def wrote(track: TrackMark) -> None:
                head_start.wrote(track)
                room.check()

            with Crew(fetcher, source, folder, limits, reel.mark.size) as crew:
                Recording(crew, reel, feeds, limits, progress, wrote).run()
                keep_subtitles(playlists, playlists.selection.subtitles, crew, reel, limits, progress)
            found = reel.finish()
            mp4 = head_start.finish(lambda: progress(found.size, found.size))
        return replace(found, mp4=mp4)


def finished(source: Source, folder: Path) -> Downloaded | None:
    """The whole stream if an earlier call has brought it."""
    mark = read_mark(folder)
    if mark is None or not mark.complete or (mark.url, mark.resolution) != (source.url, source.resolution):
        return None
    with Reel(folder, Limits(max_bytes=0), lambda _done, _total: None) as reel:
        return reel.finish() if reel.mark and reel.mark.complete else None


def began(source: Source, folder: Path) -> bool:
    """Has an earlier call for this URL, perhaps signed otherwise, brought a part of the stream?"""
    mark = read_mark(folder)
    return mark is not None and mark.size > 0 and _unsigned(mark.url) == _unsigned(source.url)


def forget(folder: Path) -> None:
    """Remove what an earlier call left."""
    remove_reel(folder)


def _start(playlists: Playlists, reel: Reel, source: Source, selection: Selection, limits: Limits) -> list[Feed]:
    """The feeds of all tracks, on from what `reel` has if that is of the same stream."""
    wanted = _tracks(selection)
    mark = reel.mark
    if mark is None or mark.resolution != source.resolution or not _same_tracks(mark.tracks, wanted):
        mark = _begin(reel, source, wanted)
    try:
        first = [playlists.track(index) for index in range(len(wanted))]
    except (Forbidden, Gone) as failure:
        if not (mark.size and may_have_expired(failure)):
            raise
        raise ExpiredUrl(f"{failure} It gave a part of the stream before.") from failure

    def feeds(tracks: list[TrackMark]) -> list[Feed]:
        return [Feed(lambda i=i: playlists.track(i), limits, track) for i, track in enumerate(tracks)]  # type: ignore[misc]

    found = feeds(mark.tracks)
    live = mark.live_since is not None
    if not all(feed.start(playlist, live=live) for feed, playlist in zip(found, first, strict=True)):
        mark = _begin(reel, source, wanted)
        found = feeds(mark.tracks)
        for feed, playlist in zip(found, first, strict=True):
            feed.start(playlist)
    mark.url, mark.complete, mark.subtitles = source.url, False, []
    if mark.live_since is None and not all(feed.ended for feed in found):
        mark.live_since = time.time()
    return found


def _unsigned(url: str) -> str:
    return url.partition("?")[0]


def _begin(reel: Reel, source: Source, tracks: list[TrackMark]) -> Mark:
    mark = Mark(source.url, source.resolution, tracks)
    reel.begin(mark)
    return mark


def _tracks(selection: Selection) -> list[TrackMark]:
    main = TrackMark("video", selection.main.language, selection.main.name)
    return [main, *(TrackMark("audio", audio.language, audio.name) for audio in selection.audio)]


def _same_tracks(have: list[TrackMark], wanted: list[TrackMark]) -> bool:
    return [(t.kind, t.language, t.name) for t in have] == [(t.kind, t.language, t.name) for t in wanted]
