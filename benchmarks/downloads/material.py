"""What is served: a real stream of equal segments and a real MP4 of a given size, the same in every run."""

from __future__ import annotations

import hashlib
import json
import random
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from queue_app.media.ffmpeg import Tools

SEGMENT_BYTES = 500_080
"""500 KB in whole transport packets."""
SEGMENT_SECONDS = 2
FRAMES_PER_SECOND = 25

# ISO/IEC 13818-1 §2.4.1: packets of the PID 0x1FFF are stuffing, with which multiplexers keep a rate constant.
_PACKET_BYTES = 188
_NULL_PACKET = b"\x47\x1f\xff\x10" + b"\xff" * (_PACKET_BYTES - 4)
_PIECE_BYTES = 1024 * 1024
_KEY = bytes(range(16))
_ENCODE_SECONDS = 600
_DURATION_TOLERANCE = 0.2


@dataclass(frozen=True)
class Inventory:
    """What of a video must be the same in every copy."""

    video_packets: int
    audio_packets: int
    duration: float

    @classmethod
    def of(cls, video: Path, tools: Tools) -> Inventory:
        """Counted by ffprobe. Raises ValueError when it is no video with sound."""
        entries = "stream=codec_type,nb_read_packets:format=duration"
        command = [tools.ffprobe, "-v", "error", "-count_packets", "-show_entries", entries, "-of", "json", str(video)]
        found = subprocess.run(command, capture_output=True, check=False, timeout=_ENCODE_SECONDS)
        try:
            said = json.loads(found.stdout)
            packets = {stream["codec_type"]: int(stream["nb_read_packets"]) for stream in said["streams"]}
            return cls(packets["video"], packets["audio"], float(said["format"]["duration"]))
        except (KeyError, ValueError) as error:
            raise ValueError(f"not a playable video: {found.stderr.decode()[-200:]}") from error

    def difference(self, other: Inventory) -> str:
        """What `other` has too much or too little of; "" when it is the same."""
        for what in ("video_packets", "audio_packets"):
            if getattr(self, what) != getattr(other, what):
                return f"{getattr(other, what)} {what.replace('_', ' ')} instead of {getattr(self, what)}"
        if abs(self.duration - other.duration) > _DURATION_TOLERANCE:
            return f"{other.duration:.2f} s instead of {self.duration:.2f} s"
        return ""


class Material:
    """Made in `folder`, which holds all that the origin serves; `manifest` says under which paths."""

    def __init__(self, folder: Path, tools: Tools, *, file_bytes: int, segments: int) -> None:
        self.folder, self.segments, self.file_bytes = folder, segments, file_bytes
        self.stream_bytes = segments * SEGMENT_BYTES
        self.manifest = folder / "manifest.json"
        self._served: dict[str, tuple[str, int, int, str]] = {}
        self._tools = tools

    def make(self, *, encrypted: bool) -> None:
        """Encode, cut, pad. `encrypted` also makes the AES-128 form of the stream."""
        durations = self._make_segments()
        self.inventory = Inventory.of(self.folder / "stream.ts", self._tools)
        self._make_file()
        self.sha256 = sha256_of(self.folder / "file.mp4")
        self._serve("/file.mp4", "file.mp4", 0, self.file_bytes, "video/mp4")
        self._serve_stream("plain", durations, "stream.ts", SEGMENT_BYTES)
        self._serve("/byterange/stream.ts", "stream.ts", 0, self.stream_bytes, "video/mp2t")
        self._serve_playlist("byterange", _byte_ranges(durations))
        if encrypted:
            self._encrypt()
            (self.folder / "key.bin").write_bytes(_KEY)
            self._serve("/aes/key.bin", "key.bin", 0, len(_KEY), "application/octet-stream")
            self._serve_stream("aes", durations, "encrypted.ts", _padded(SEGMENT_BYTES))
        self.manifest.write_text(json.dumps(self._served), encoding="utf-8")

    def _serve(self, path: str, name: str, offset: int, size: int, content_type: str) -> None:
        self._served[path] = (name, offset, size, content_type)

    def _serve_playlist(self, kind: str, text: str) -> None:
        name = f"{kind}.m3u8"
        (self.folder / name).write_text(text, encoding="utf-8")
        self._serve(f"/{kind}/stream.m3u8", name, 0, len(text), "application/vnd.apple.mpegurl")

    def _serve_stream(self, kind: str, durations: list[str], name: str, size: int) -> None:
        for number in range(self.segments):
            self._serve(f"/{kind}/{number:05d}.ts", name, number * size, size, "video/mp2t")
        key = '#EXT-X-KEY:METHOD=AES-128,URI="key.bin"\n' if kind == "aes" else ""
        lines = (f"#EXTINF:{duration},\n{number:05d}.ts\n" for number, duration in enumerate(durations))
        self._serve_playlist(kind, _playlist(key + "".join(lines)))

    def _make_segments(self) -> list[str]:
        """stream.ts, in which each segment has exactly SEGMENT_BYTES; their durations as the encoder announces them."""
        raw = self.folder / "raw"
        raw.mkdir()
        self._ffmpeg(
            *("-f", "lavfi", "-i", f"testsrc2=size=192x108:rate={FRAMES_PER_SECOND}"),
            *("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"),
            *("-t", str(self.segments * SEGMENT_SECONDS), "-vf", "noise=alls=60:allf=t", "-pix_fmt", "yuv420p"),
            *("-c:v", "libx264", "-preset", "ultrafast", "-x264-params", "nal-hrd=cbr:filler=1"),
            *("-b:v", "1630k", "-minrate", "1630k", "-maxrate", "1630k", "-bufsize", "815k"),
            *("-g", str(SEGMENT_SECONDS * FRAMES_PER_SECOND), "-sc_threshold", "0", "-c:a", "aac", "-b:a", "96k"),
            *("-f", "hls", "-hls_time", str(SEGMENT_SECONDS), "-hls_list_size", "0"),
            *("-hls_segment_filename", str(raw / "%05d.ts"), str(raw / "stream.m3u8")),
        )
        durations = re.findall(r"#EXTINF:([\d.]+)", (raw / "stream.m3u8").read_text(encoding="utf-8"))
        if len(durations) != self.segments:
            raise ValueError(f"ffmpeg made {len(durations)} segments instead of {self.segments}.")
        with (self.folder / "stream.ts").open("wb") as stream:
            for number in range(self.segments):
                path = raw / f"{number:05d}.ts"
                content = path.read_bytes()
                missing, odd = divmod(SEGMENT_BYTES - len(content), _PACKET_BYTES)
                if missing < 0 or odd:
                    raise ValueError(f"Segment {number} has {len(content)} bytes: no room to pad it.")
                stream.write(content + missing * _NULL_PACKET)
                path.unlink()
        return durations

    def _make_file(self) -> None:
        """file.mp4: the stream's video, and a `free` box (ISO/IEC 14496-12 §8.1.2) of noise up to the size."""
        path = self.folder / "file.mp4"
        self._ffmpeg("-i", str(self.folder / "stream.ts"), "-c", "copy", "-movflags", "+faststart", str(path))
        left = self.file_bytes - path.stat().st_size
        if not 8 <= left < 2**32:
            raise ValueError(f"The stream's MP4 leaves {left} bytes of {self.file_bytes}.")
        noise = random.Random(left)
        with path.open("ab") as file:
            file.write(left.to_bytes(4, "big") + b"free")
            for start in range(8, left, _PIECE_BYTES):
                file.write(noise.randbytes(min(_PIECE_BYTES, left - start)))

    def _encrypt(self) -> None:
        """RFC 8216 §4.3.2.4 and §5.2: CBC, PKCS7 padding, the sequence number as the initialisation vector."""
        from Cryptodome.Cipher import AES
        from Cryptodome.Util.Padding import pad

        with (self.folder / "stream.ts").open("rb") as plain, (self.folder / "encrypted.ts").open("wb") as encrypted:
            for number in range(self.segments):
                cipher = AES.new(_KEY, AES.MODE_CBC, iv=number.to_bytes(16, "big"))
                encrypted.write(cipher.encrypt(pad(plain.read(SEGMENT_BYTES), AES.block_size)))

    def _ffmpeg(self, *arguments: str) -> None:
        command = [self._tools.ffmpeg, "-hide_banner", "-nostdin", "-v", "error", "-y", *arguments]
        subprocess.run(command, check=True, timeout=_ENCODE_SECONDS)


def sha256_of(path: Path) -> str:
    """In hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _padded(size: int) -> int:
    return size + 16 - size % 16


def _byte_ranges(durations: list[str]) -> str:
    entries = (
        f"#EXTINF:{duration},\n#EXT-X-BYTERANGE:{SEGMENT_BYTES}@{number * SEGMENT_BYTES}\nstream.ts\n"
        for number, duration in enumerate(durations)
    )
    return _playlist("".join(entries))


def _playlist(entries: str) -> str:
    header = "#EXTM3U\n#EXT-X-VERSION:4\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n"
    return f"{header}#EXT-X-TARGETDURATION:{SEGMENT_SECONDS}\n{entries}#EXT-X-ENDLIST\n"
