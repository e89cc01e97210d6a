"""Two videos made on the spot: an MP4, and an HLS stream of MPEG-TS segments with a master playlist."""

from __future__ import annotations

import shutil
from pathlib import Path

from queue_app.media.ffmpeg import find_tools, local_input, run

SECONDS = 20
MP4 = "demo.mp4"
MASTER = "hls/master.m3u8"
MEDIA = "hls/media.m3u8"
WHOLE_STREAM = "hls/whole.ts"
TIMEOUT = 300.0


def make_videos(folder: Path) -> None:
    """Write both into `folder`, unless an earlier demo has."""
    if (folder / "complete").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "hls").mkdir(parents=True)
    _ffmpeg(*_picture("testsrc2=size=1280x720:rate=25", 440), "-movflags", "+faststart", folder / MP4)
    hls: list[str | Path] = ["-f", "hls", "-hls_time", "4", "-hls_playlist_type", "vod"]
    hls += ["-hls_segment_filename", folder / "hls/%03d.ts"]
    _ffmpeg(*_picture("mandelbrot=size=640x360:rate=25", 660), *hls, folder / MEDIA)
    segments = sorted((folder / "hls").glob("[0-9]*.ts"))
    (folder / WHOLE_STREAM).write_bytes(b"".join(segment.read_bytes() for segment in segments))
    (folder / MASTER).write_text(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-STREAM-INF:BANDWIDTH=2500000,RESOLUTION=640x360\nmedia.m3u8\n",
        encoding="utf-8",
    )
    (folder / "complete").touch()


def frame_hashes(video: Path) -> list[tuple[str, str]]:
    """(stream number, MD5) of every decoded picture and block of sound, in the order of each stream."""
    result = _ffmpeg(*local_input(video), "-map", "0:v", "-map", "0:a", "-f", "framemd5", "-")
    lines = [line.split(",") for line in result.decode().splitlines() if line and not line.startswith("#")]
    return sorted(((stream.strip(), md5.strip()) for stream, *_, md5 in lines), key=lambda frame: frame[0])


def _ffmpeg(*arguments: str | Path) -> bytes:
    """What ffmpeg writes to its standard output. Raises RuntimeError with its complaint."""
    words = [find_tools().ffmpeg, "-nostdin", "-hide_banner", "-v", "error", "-y", *map(str, arguments)]
    result = run(words, TIMEOUT)
    if result.returncode != 0:
        raise RuntimeError(f"ffmpeg could not make the demo's videos: {result.stderr}")
    return result.stdout


def _picture(source: str, hertz: int) -> list[str | Path]:
    """Arguments for SECONDS of moving picture and a tone, H.264 and AAC."""
    return [
        "-f", "lavfi", "-i", f"{source},noise=alls=12:allf=t",
        "-f", "lavfi", "-i", f"sine=frequency={hertz}:sample_rate=48000",
        "-t", str(SECONDS), "-c:v", "libx264", "-preset", "ultrafast", "-crf", "28", "-maxrate", "6M", "-bufsize", "6M",
        "-g", "50", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "128k",
    ]  # fmt: skip
