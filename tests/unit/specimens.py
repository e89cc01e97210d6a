"""Good videos of many kinds, made by the ffmpeg that the product uses, each when it is first asked for."""

from __future__ import annotations

import itertools
import shlex
import struct
import subprocess
from pathlib import Path

from queue_app.media.ffmpeg import find_tools

PICTURE = "-f lavfi -i testsrc2=s=64x48:r=25:d=4"
SOUND = "-f lavfi -i sine=d=4:r=48000"
X264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25"
X265 = "-c:v libx265 -preset ultrafast -x265-params log-level=none:open-gop=1:keyint=25"
_LONG = f"-f lavfi -i testsrc2=s=64x48:r=25:d=90 -f lavfi -i sine=d=90:r=48000 {X264} -c:a aac"
_VFR = "\"select='lt(t,1)+gt(t,3)*lt(t,4)+gt(t,7.9)'\""

GOOD = {
    "b-frames.mp4": f"{PICTURE} {SOUND} -c:v libx264 -preset veryfast -bf 3 -g 25 -c:a aac",
    "b-frames.mkv": "-i b-frames.mp4 -c copy",
    "b-frames.mov": "-i b-frames.mp4 -c copy -timecode 01:00:00:00",
    "b-frames.ts": "-i b-frames.mp4 -c copy",
    "b-frames.flv": "-i b-frames.mp4 -c copy",
    "b-frames.avi": f"{PICTURE} {SOUND} -c:v mpeg4 -bf 2 -c:a libmp3lame",
    "no-pts.mp4": "-i b-frames.avi -c copy",
    "program-stream.mpg": f"{PICTURE} {SOUND} -c:v mpeg2video -bf 2 -c:a mp2",
    "vp9-opus.webm": f"{PICTURE} {SOUND} -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus",
    "hevc-ac3.mp4": f"{PICTURE} {SOUND} {X265} -c:a ac3",
    "hevc-pq.mkv": f"{PICTURE} {X265}:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc",
    "av1-opus.mp4": f"{PICTURE} {SOUND} -c:v libsvtav1 -preset 12 -c:a libopus",
    "languages.mkv": f"{PICTURE} {SOUND} -map 0 -map 1 -map 1 {X264} -c:a:0 eac3 -c:a:1 flac "
    "-metadata:s:a:0 language=jpn -metadata:s:a:1 language=eng",
    "subtitles.mp4": "-i b-frames.mp4 -i words.srt -c copy -c:s mov_text",
    "cover.mp4": "-i b-frames.mp4 -i cover.jpg -map 0 -map 1 -c copy -disposition:v:1 attached_pic",
    "sound-later.mp4": "-i b-frames.mp4 -itsoffset 2 -i b-frames.mp4 -map 0:v -map 1:a -c copy",
    "negative-times.mp4": "-i b-frames.mp4 -c copy -movflags negative_cts_offsets",
    "cut-between-keys.mp4": "-ss 1.3 -i b-frames.mp4 -c copy",
    "cut-in-open-group.mp4": "-ss 1.3 -i open-groups.mp4 -c copy",
    "open-groups.mp4": f"{PICTURE} -c:v libx264 -preset veryfast -bf 3 -x264-params open-gop=1:keyint=25",
    "clock-wraps.ts": "-i b-frames.mp4 -c copy -output_ts_offset 95441.5 -muxdelay 0",
    "tiny.mp4": f"-f lavfi -i testsrc2=s=2x2:r=25:d=1 {X264}",
    "tenth-of-a-second.mp4": f"-f lavfi -i testsrc2=s=64x48:r=25:d=0.1 {X264}",
    "one-picture.mp4": f"{PICTURE} -frames:v 1 {X264}",
    "one-picture.mkv": f"{PICTURE} -frames:v 1 {X264}",
    "one-picture-and-a-song.mkv": f"-f lavfi -i testsrc2=s=64x48:r=25:d=0.04 -f lavfi -i sine=d=60 {X264} -c:a aac",
    "sound-longer.mp4": f"-f lavfi -i testsrc2=s=64x48:r=25:d=3 {SOUND} {X264} -c:a aac",
    "one-picture-a-second.mp4": f"-f lavfi -i testsrc2=s=64x48:r=1:d=20 -f lavfi -i sine=d=20 {X264} -c:a aac",
    "slides.mp4": f"-f lavfi -i testsrc2=s=64x48:r=0.1:d=40 -f lavfi -i sine=d=40 {X264} -c:a aac",
    "still-stretches.mp4": f"-f lavfi -i testsrc2=s=64x48:r=25:d=8 -f lavfi -i sine=d=8 -vf {_VFR} -fps_mode vfr "
    f"{X264} -c:a aac",
    "still-stretches.mkv": "-i still-stretches.mp4 -c copy",
    "still-stretches-silent.mp4": "-i still-stretches.mp4 -an -c copy",
    "fragmented.mp4": "-i b-frames.mp4 -c copy -movflags frag_keyframe+empty_moov+default_base_moof",
    "begins-later.mkv": "-i b-frames.mp4 -c copy -output_ts_offset 5",
    "turned.mp4": "-display_rotation 90 -i b-frames.mp4 -c copy",
    "interlaced.mp4": f"{PICTURE} {X264} -flags +ildct+ilme -x264-params tff=1",
    "long.mp4": _LONG,
    "long.mkv": "-i long.mp4 -c copy",
    "long.ts": "-i long.mp4 -c copy",
    "long-fragments.mp4": "-i long.mp4 -c copy -movflags frag_keyframe+empty_moov+default_base_moof",
    "long-open-groups.mp4": "-f lavfi -i testsrc2=s=64x48:r=25:d=90 -c:v libx264 -preset veryfast -bf 3 "
    "-x264-params open-gop=1:keyint=25",
    "long-rolling-refresh.mp4": "-f lavfi -i testsrc2=s=160x96:r=25:d=90 -c:v libx264 -preset veryfast "
    "-x264-params intra-refresh=1:keyint=60",
    "long-other.mp4": _LONG.replace("testsrc2", "testsrc").replace("ultrafast", "veryfast"),
}
_SUBTITLES = "1\n00:00:01,000 --> 00:00:02,000\nHi\n\n"


class Specimens:
    """Makes the files that `GOOD` names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "words.srt").write_text(_SUBTITLES)
        ffmpeg(folder, "-f lavfi -i testsrc2=s=64x48:d=0.04 -frames:v 1", "cover.jpg")

    def __getitem__(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            words = GOOD[name].split()
            for used in (word for before, word in itertools.pairwise(words) if before == "-i"):
                if used in GOOD:
                    _ = self[used]
            ffmpeg(self.folder, GOOD[name], name)
        return path


def ffmpeg(folder: Path, options: str, target: str) -> Path:
    """Run ffmpeg in a folder; the path of what it made."""
    command = [find_tools().ffmpeg, "-v", "fatal", "-nostdin", "-y", *shlex.split(options), target]
    subprocess.run(command, cwd=folder, check=True, stderr=subprocess.DEVNULL)
    return folder / target


def boxes(content: bytes, start: int = 0, end: int | None = None) -> list[tuple[bytes, int, int]]:
    """Name, beginning and end of each MP4 box in a stretch of a file."""
    found, end = [], len(content) if end is None else end
    while start < end:
        size, name = struct.unpack(">I4s", content[start : start + 8])
        found.append((name, start, start + size))
        start += size
    return found


def box(content: bytes, *path: bytes) -> tuple[int, int]:
    """Beginning and end of the first box at a path such as moov, trak."""
    start, end = 0, len(content)
    for n, wanted in enumerate(path):
        start, end = next((a, b) for name, a, b in boxes(content, start + 8 * (n > 0), end) if name == wanted)
    return start, end
