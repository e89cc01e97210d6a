"""What is played: small films of a few seconds, each made when it is first asked for."""

from __future__ import annotations

import functools
import shlex
from pathlib import Path

from tests.servers.streams import clip, cut, encrypted_by_ffmpeg, ffmpeg, fmp4

LOW, HIGH = 180, 360
"""The heights of the ladder's two rungs."""


class Films:
    """Each attribute is a file in a folder that an origin can serve as it is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @functools.cached_property
    def mp4(self) -> Path:
        """12 seconds that don't compress, 12 MB or so: nobody has its end before asking for it. Its index is there."""
        noise = "testsrc2=size=320x180:rate=25:duration=12,noise=alls=100:allf=t"
        sound = "sine=frequency=440:sample_rate=48000:duration=12"
        coding = shlex.split("-c:v libx264 -preset ultrafast -b:v 8M -g 25 -pix_fmt yuv420p -c:a aac -ac 2")
        ffmpeg("-f", "lavfi", "-i", noise, "-f", "lavfi", "-i", sound, *coding, "film.mp4", cwd=self.folder)
        return self.folder / "film.mp4"

    @functools.cached_property
    def ladder(self) -> Path:
        """HLS in MPEG-TS: a multivariant playlist with two rungs."""
        folder = self.folder / "ladder"
        for height, size in ((LOW, "320x180"), (HIGH, "640x360")):
            cut(clip(self.folder, 8, size), folder, name=f"{height}p")
        (folder / "master.m3u8").write_text(
            "#EXTM3U\n"
            "#EXT-X-STREAM-INF:BANDWIDTH=400000,RESOLUTION=320x180\n180p.m3u8\n"
            "#EXT-X-STREAM-INF:BANDWIDTH=1200000,RESOLUTION=640x360\n360p.m3u8\n"
        )
        return folder / "master.m3u8"

    @functools.cached_property
    def encrypted(self) -> Path:
        """HLS with AES-128 (RFC 8216 §4.3.2.4)."""
        return encrypted_by_ffmpeg(clip(self.folder, 4), self.folder / "encrypted", iv=True)

    @functools.cached_property
    def byte_ranges(self) -> Path:
        """HLS in fragmented MP4, all segments being byte ranges of one file."""
        return cut(clip(self.folder, 4), self.folder / "byte_ranges", *fmp4(), "-hls_flags", "single_file")
