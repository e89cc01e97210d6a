"""A stream's subtitles as whole WebVTT files. They are an extra: one that can't be had never fails the video."""

from __future__ import annotations

import itertools
import logging
import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, wait

from queue_app.downloaders.base import Limits, ProgressSink
from queue_app.downloaders.body import Refused
from queue_app.downloaders.crew import Crew, Fetched, What
from queue_app.downloaders.playlists import Playlists
from queue_app.downloaders.reel import PREFIX, GroupMark, Reel, SubtitlesMark
from queue_app.downloaders.segments import MediaPlaylist, Segment, read_media
from queue_app.downloaders.variants import Rendition
from queue_app.failures import BadSource, Failure
from queue_app.media.first_timestamp import first_timestamp
from queue_app.media.webvtt import Joined

log = logging.getLogger(__name__)

_CLOCK_SECONDS = 2**33 / 90_000
"""After which the clock of MPEG-TS begins anew."""
_LEAST_SHARE = 0.9
"""Of a live stream's subtitles, more than the rest may have left the playlist by the end."""
_PROGRESS_SECONDS = 0.2


def keep_subtitles(
    playlists: Playlists,
    renditions: tuple[Rendition, ...],
    crew: Crew,
    reel: Reel,
    limits: Limits,
    progress: ProgressSink,
) -> None:
    """Write each of `renditions` beside the video in `reel`, which is whole; those that fail are left out."""
    mark = reel.mark
    assert mark is not None  # noqa: S101 - the video comes first
    for number, rendition in enumerate(renditions):
        name = f"{PREFIX}-subtitles-{number}.vtt"
        try:
            media = read_media(playlists.get(rendition), limits)
            if mark.live_since and media.duration < _LEAST_SHARE * sum(g.duration for g in mark.tracks[0].groups):
                raise BadSource("Their beginning has left the playlist.")
            text = _join(media, crew, _places(reel, mark.tracks[0].groups), progress)
        except (Failure, Refused) as failure:
            log.warning("Subtitles %r are left out: %s", rendition.name[:100], failure)
            continue
        (reel.folder / name).write_text(text, encoding="utf-8")
        mark.subtitles.append(SubtitlesMark(name, rendition.language, rendition.name))


def _places(reel: Reel, groups: list[GroupMark]) -> list[tuple[float, float | None]]:
    """For each group of the main track: where it is in the video, and where it begins by its own clock; in seconds."""
    ends = itertools.accumulate((group.duration for group in groups), initial=0.0)
    starts = (first_timestamp(reel.folder / group.name, group.container) for group in groups)
    return list(zip(ends, starts, strict=False))


def _join(media: MediaPlaylist, crew: Crew, places: list[tuple[float, float | None]], progress: ProgressSink) -> str:
    joined, group = Joined(), 0
    if not media.ended:
        raise BadSource("Their playlist has no end.")
    for segment, text in _texts(media, crew, progress):
        group += segment.discontinuity and segment is not media.segments[0]
        position, start = places[min(group, len(places) - 1)]

        def place(zero: float | None, position: float = position, start: float | None = start) -> float:
            # Without a map, times count from the beginning of the video, as players have it.
            return 0.0 if zero is None or start is None else position + _nearest_wrap(zero - start)

        joined.add(text, place)
    return str(joined)


def _nearest_wrap(seconds: float) -> float:
    return math.remainder(seconds, _CLOCK_SECONDS)


def _texts(media: MediaPlaylist, crew: Crew, progress: ProgressSink) -> Iterator[tuple[Segment, str]]:
    waiting: deque[tuple[Segment, Future[Fetched]]] = deque()
    segments = iter(media.segments)
    while True:
        for segment in itertools.islice(segments, crew.window - len(waiting)):
            name = f"Subtitles segment {segment.sequence}"
            waiting.append((segment, crew.fetch(segment.resource, segment.sequence, name, What.TEXT)))
        if not waiting:
            return
        segment, future = waiting.popleft()
        while not future.done():
            progress(crew.bytes_done, None)
            wait([future], _PROGRESS_SECONDS)
        with future.result().file as file:
            try:
                yield segment, file.read().decode("utf-8")
            except UnicodeDecodeError:
                raise BadSource("They are not UTF-8 text.") from None
