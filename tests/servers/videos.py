"""Small test videos, made once per session by the ffmpeg that the product uses."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

from queue_app.media.ffmpeg import find_tools

SECONDS = 6
_ENCODE = [
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-g",
    "25",
    "-pix_fmt",
    "yuv420p",
    "-c:a",
    "aac",
    "-ac",
    "2",
]


class Videos:
    """Each attribute is a file (or a folder with a playlist), made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @functools.cached_property
    def mp4(self) -> Path:
        """320 by 180 at 25 fps, H.264 and AAC, index in front."""
        return self._make("video.mp4", "-movflags", "+faststart")

    @functools.cached_property
    def mkv(self) -> Path:
        """The same streams in Matroska."""
        return self._make("video.mkv", source=self.mp4)

    @functools.cached_property
    def mov(self) -> Path:
        """The same streams in QuickTime."""
        return self._make("video.mov", source=self.mp4)

    @functools.cached_property
    def ts(self) -> Path:
        """The same streams in MPEG-TS."""
        return self._make("video.ts", source=self.mp4)

    @functools.cached_property
    def audio(self) -> Path:
        """An MP4 file without video."""
        return self._make("audio.mp4", "-vn", source=self.mp4)

    @functools.cached_property
    def hls_ts(self) -> Path:
        """A folder: master.m3u8 with one variant, index.m3u8, seg0.ts … of one second each."""
        folder = self._hls("hls_ts", "-hls_segment_filename", "seg%d.ts")
        (folder / "master.m3u8").write_text(
            "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=400000,RESOLUTION=320x180\nindex.m3u8\n"
        )
        return folder

    @functools.cached_property
    def hls_fmp4(self) -> Path:
        """A folder: index.m3u8, init.mp4, seg0.m4s … of one second each."""
        return self._hls("hls_fmp4", "-hls_segment_type", "fmp4", "-hls_segment_filename", "seg%d.m4s")

    def _hls(self, name: str, *options: str) -> Path:
        (self.folder / name).mkdir()
        common = ["-hls_time", "1", "-hls_playlist_type", "vod", "-f", "hls"]
        return self._make(f"{name}/index.m3u8", *common, *options, source=self.mp4).parent

    def _make(self, name: str, *options: str, source: Path | None = None) -> Path:
        target = self.folder / name
        inputs = ["-i", str(source)] if source else _test_picture()
        coding = ["-c", "copy"] if source else _ENCODE
        arguments = ["-v", "error", "-nostdin", "-y", *inputs, *coding, *options, target.name]
        subprocess.run([find_tools().ffmpeg, *arguments], check=True, cwd=target.parent)
        return target


def frame_hashes(path: Path, *, sound: str = "0:a") -> list[str]:
    """The MD5 of each decoded picture and of each coded piece of sound, in order, without time stamps."""
    hashes = []
    for stream in (["-map", "0:v"], ["-map", sound, "-c", "copy", "-bsf:a", "aac_adtstoasc"]):
        command = [
            find_tools().ffmpeg,
            "-v",
            "error",
            "-nostdin",
            "-i",
            str(path),
            *stream,
            "-noautoscale",
            "-f",
            "framemd5",
            "-",
        ]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        hashes += [line.split(",")[5].strip() for line in lines if not line.startswith("#")]
    return hashes


def _test_picture() -> list[str]:
    picture = f"testsrc2=size=320x180:rate=25:duration={SECONDS}"
    sound = f"sine=frequency=440:sample_rate=48000:duration={SECONDS}"
    return ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound]
