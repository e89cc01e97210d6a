"""The MP4 that is made while a stream arrives is whole, or there is none."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from queue_app.downloaders.base import Limits
from queue_app.downloaders.feed import Feed
from queue_app.downloaders.head_start import HeadStart
from queue_app.downloaders.playlist import Playlist
from queue_app.downloaders.reel import Reel
from queue_app.downloaders.room import Room
from queue_app.failures import Transient
from queue_app.media.ffmpeg import find_tools
from queue_app.media.growing import GrowingRemux
from tests.servers import origin as servers
from tests.servers.origin import Origin
from tests.servers.streams import clip, cut
from tests.servers.videos import Videos
from tests.unit.streams import LIMITS, fetch


@pytest.mark.parametrize("left", [1_000, 100_000])
def test_program_that_ends_before_the_stream_made_no_mp4(left: int, videos: Videos, tmp_path: Path) -> None:
    tools, size = find_tools(), videos.ts.stat().st_size
    early = tmp_path / "ffmpeg"
    early.write_text(f'#!/bin/sh\nhead -c {size - left} | {tools.ffmpeg} "$@"\n')
    early.chmod(0o700)
    remux = GrowingRemux(
        videos.ts,
        "mpegts",
        tmp_path / "x.mp4",
        seconds=6,
        bytes_per_second=size / 6,
        tools=replace(tools, ffmpeg=str(early)),
    )
    remux.grown(size)
    assert remux.finish(lambda: None) is None
    assert not (tmp_path / "x.mp4").exists()


def test_file_shorter_than_said_makes_no_mp4(videos: Videos, tmp_path: Path) -> None:
    size = videos.ts.stat().st_size
    target = tmp_path / "x.mp4"
    remux = GrowingRemux(videos.ts, "mpegts", target, seconds=6, bytes_per_second=size / 6, tools=find_tools())
    remux.grown(size + 188)
    assert remux.finish(lambda: None) is None


def test_nothing_is_started_before_its_block_is_entered(origin: Origin, tmp_path: Path) -> None:
    playlist = cut(clip(tmp_path), origin.folder / "v")
    origin.misbehave("/v/index2.ts", servers.Status(code=503))
    with pytest.raises(Transient):
        fetch(origin, "/v/index.m3u8", tmp_path / "job", replace(LIMITS, max_segments=9, retry_wait=0))
    limits = Limits(max_bytes=10**9, tools=find_tools())
    with Reel(tmp_path / "job", limits, lambda _done, _total: None) as reel:
        assert reel.mark is not None
        content = Playlist.read(playlist.read_bytes(), origin.url("/v/index.m3u8"))
        feed = Feed(lambda: content, limits, reel.mark.tracks[0])
        assert feed.start(content)
        before = threading.active_count()
        head_start = HeadStart(reel, [feed], limits, Room(reel, [feed]))
        assert threading.active_count() == before
        with head_start:
            assert threading.active_count() > before
            head_start.finish(lambda: None)
