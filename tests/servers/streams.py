"""HLS streams of every kind, cut by ffmpeg from clips whose every frame is known."""

from __future__ import annotations

import functools
import re
import subprocess
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from queue_app.media.ffmpeg import find_tools

KEY = bytes(range(16))
IV = "0x000102030405060708090a0b0c0d0e0f"
_X264 = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-x264-params", "b-adapt=0"]
_X265 = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none", "-tag:v", "hvc1"]


def ffmpeg(*arguments: str, cwd: Path) -> None:
    """Run it in a folder."""
    subprocess.run([find_tools().ffmpeg, "-v", "error", "-nostdin", "-y", *arguments], check=True, cwd=cwd)


@functools.cache
def clip(
    folder: Path, seconds: float = 4, size: str = "320x180", tone: int = 440, hevc: bool = False, rate: int = 48000
) -> Path:
    """An MP4 file with B-frames, a key frame each second, and a tone."""
    path = folder / f"{seconds}-{size}-{tone}-{hevc}-{rate}.mp4"
    picture = f"testsrc2=size={size}:rate=25:duration={seconds}"
    sound = f"sine=frequency={tone}:sample_rate={rate}:duration={seconds}"
    coding = [*(_X265 if hevc else _X264), "-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac", "-ac", "2"]
    ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, *coding, path.name, cwd=folder)
    return path


def cut(source: Path, folder: Path, *options: str, name: str = "index") -> Path:
    """`source` in segments of a second, in the new or existing `folder`; returns the playlist."""
    folder.mkdir(exist_ok=True)
    common = ["-c", "copy", "-f", "hls", "-hls_time", "1", "-hls_playlist_type", "vod"]
    ffmpeg("-i", str(source), *common, *options, f"{name}.m3u8", cwd=folder)
    return folder / f"{name}.m3u8"


def fmp4(name: str = "index") -> list[str]:
    """Options of `cut` for fragmented MP4."""
    files = ["-hls_fmp4_init_filename", f"{name}-init.mp4", "-hls_segment_filename", f"{name}-%d.m4s"]
    return ["-hls_segment_type", "fmp4", *files]


def encrypted_by_ffmpeg(source: Path, folder: Path, *, iv: bool = False, rotating: bool = False) -> Path:
    """AES-128 as ffmpeg does it: IV explicit, or the media sequence number, or a new key for each segment."""
    folder.mkdir()
    (folder / "key").write_bytes(KEY)
    (folder / "info").write_text("key\nkey\n" + (IV[2:] + "\n" if iv else ""))
    flags = ["-hls_flags", "periodic_rekey"] if rotating else []
    playlist = cut(source, folder, "-hls_key_info_file", "info", "-start_number", "7", *flags)
    if not iv and not rotating:
        # ffmpeg writes an IV even where it equals the media sequence number, which is what it means without one.
        playlist.write_text(re.sub(",IV=0x[0-9a-fA-F]+", "", playlist.read_text()))
    return playlist


def encrypted(content: bytes, key: bytes = KEY, iv: str = IV) -> bytes:
    """AES-128-CBC with PKCS #7 padding."""
    padder = PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(bytes.fromhex(iv[2:]))).encryptor()
    return encryptor.update(padder.update(content) + padder.finalize()) + encryptor.finalize()


def encrypt_all(playlist: Path) -> None:
    """Encrypt the files of an fMP4 playlist, its EXT-X-MAP too."""
    for path in (*playlist.parent.glob("*.m4s"), *playlist.parent.glob("*-init.mp4")):
        path.write_bytes(encrypted(path.read_bytes()))
    (playlist.parent / "key").write_bytes(KEY)
    tag = f'#EXT-X-KEY:METHOD=AES-128,URI="key",IV={IV}\n'
    playlist.write_text(playlist.read_text().replace("#EXT-X-MAP", tag + "#EXT-X-MAP"))


def chained(target: Path, *playlists: Path) -> Path:
    """A playlist of several, with a discontinuity between them; all in one folder."""
    bodies = []
    for playlist in playlists:
        lines = playlist.read_text().splitlines()
        skipped = (
            "#EXTM3U",
            "#EXT-X-VERSION",
            "#EXT-X-TARGET",
            "#EXT-X-MEDIA-SEQ",
            "#EXT-X-PLAYLIST",
            "#EXT-X-ENDLIST",
        )
        bodies.append("\n".join(line for line in lines if not line.startswith(skipped)))
    joint = "\n#EXT-X-DISCONTINUITY\n".join(bodies)
    target.write_text(f"#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n{joint}\n#EXT-X-ENDLIST\n")
    return target
