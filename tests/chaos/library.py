"""What goes through the chaos: many small videos, each of its own bytes, at an origin that misbehaves."""

from __future__ import annotations

import random
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from queue_app.media.ffmpeg import find_tools
from tests.chaos.database import Database
from tests.servers.origin import Cut, Misbehaviour, Origin, Slow, Stall, Status

WORK = 55825
MAX_ATTEMPTS = 50
"""Each kill counts as an attempt, and isn't the video's fault here."""


@dataclass(frozen=True)
class Video:
    """One of the library; its episode is its number."""

    episode: int
    url: str
    content: bytes


class Library:
    """Puts `count` videos at the origin and, one after the other, into the queue."""

    def __init__(self, origin: Origin, folder: Path, count: int, chance: random.Random) -> None:
        self._chance = chance
        smallest = _smallest_video(folder)
        self.videos = [self._publish(origin, smallest, n, stalls=n < count / 2) for n in range(count)]
        self._waiting = list(self.videos)

    def enqueue(self, database: Database, *, share: float) -> None:
        """Bring what is in the queue up to this share of the library."""
        while len(self._waiting) > len(self.videos) * (1 - share):
            video = self._waiting[0]
            database.ask("SELECT enqueue_video(%s, %s, 'chaos', %s, '720p')", WORK, video.episode, video.url)
            database.ask("UPDATE video_queue SET max_attempts = %s WHERE episode = %s", MAX_ATTEMPTS, video.episode)
            self._waiting.pop(0)

    def _publish(self, origin: Origin, smallest: bytes, episode: int, *, stalls: bool) -> Video:
        padding = self._chance.randbytes(self._chance.randrange(1_000, 90_000))
        content = smallest + struct.pack(">I4s", 8 + len(padding), b"free") + padding
        path = f"/{episode}.mp4"
        video = Video(episode, origin.put(path, content), content)
        origin.misbehave(path, *self._misbehaviour(len(content), stalls=stalls))
        return video

    def _misbehaviour(self, size: int, *, stalls: bool) -> list[Misbehaviour]:
        after = self._chance.randrange(size)
        slow = Slow(bytes_per_second=int(size / self._chance.uniform(0.5, 4)))
        kinds: list[tuple[int, list[Misbehaviour]]] = [
            (50, []),
            (20, [slow]),
            (5, [slow, Cut(times=2, after=after)]),
            (10, [Cut(times=1, after=after)]),
            (10, [Status(times=1, code=503)]),
            (4 * stalls, [Stall(times=1, after=after)]),  # the worker's patience with it is half a minute
        ]
        [chosen] = self._chance.choices([what for _, what in kinds], [weight for weight, _ in kinds])
        return chosen


def _smallest_video(folder: Path) -> bytes:
    """Half a second of H.264 and AAC."""
    path = folder / "smallest.mp4"
    inputs = ["-f", "lavfi", "-i", "testsrc2=size=64x64:rate=10", "-f", "lavfi", "-i", "sine=sample_rate=48000"]
    coding = ["-t", "0.5", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    subprocess.run([find_tools().ffmpeg, "-v", "error", "-nostdin", *inputs, *coding, str(path)], check=True)
    return path.read_bytes()
