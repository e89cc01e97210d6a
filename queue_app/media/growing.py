"""Into an MP4 while the stream still arrives, so that hardly anything is left to do after its last byte.

It is a head start, nothing more: whatever goes wrong with it, there is just no MP4, and `remux` makes it afterwards and
says what is wrong.
"""

from __future__ import annotations

import fcntl
import math
import os
import struct
import termios
import threading
from collections.abc import Callable
from pathlib import Path

from queue_app.failures import Cancelled, Failure
from queue_app.media.ffmpeg import Tools, run

_DEMUXERS = {"mpegts": "mpegts", "fmp4": "mov"}
_READ_BYTES = 256 * 1024
_INDEX_BYTES_PER_SECOND = 2048
"""Of an MP4 index at 60 pictures and 50 pieces of sound a second, with a reserve."""
_INDEX_BYTES = 64 * 1024
_LARGEST_INDEX_SHARE = 0.01
_WAIT_SECONDS = 0.1


class GrowingRemux:
    """Reads the file `source` as it grows and copies its streams into the MP4 file `target`."""

    def __init__(
        self, source: Path, container: str, target: Path, *, seconds: float, bytes_per_second: float, tools: Tools
    ) -> None:
        """`seconds` long and of about so many `bytes_per_second` it will be: that sizes the room for its index."""
        self._source, self._target = source, target
        self._size = 0
        self._changed = threading.Condition()
        self._ended = self._stopped = self._fed = self._whole = False
        reading, writing = os.pipe()
        options = ["-hide_banner", "-y", "-v", "error", "-xerror"]
        opened = ["-protocol_whitelist", "pipe", "-format_whitelist", _DEMUXERS[container], "-f", _DEMUXERS[container]]
        maps = ["-map", "0:V", "-map", "0:a?", "-c", "copy"]
        index = _index_options(seconds, bytes_per_second)
        arguments = [tools.ffmpeg, *options, *opened, "-i", "pipe:0", *maps, *index]
        command = [*arguments, "-f", "mp4", f"file:{target.absolute()}"]
        self._runner = threading.Thread(target=self._run, args=(command, tools, reading), daemon=True)
        self._runner.start()
        threading.Thread(target=self._feed, args=(writing,), daemon=True).start()

    def grown(self, size: int) -> None:
        """So many bytes of the source are there and stay."""
        with self._changed:
            self._size = size
            self._changed.notify()

    def finish(self, meanwhile: Callable[[], None]) -> Path | None:
        """The target when the source is whole and has been copied; None if that failed.

        `meanwhile` is called again and again, and may raise to stop.
        """
        with self._changed:
            self._ended = True
            self._changed.notify()
        while self._runner.is_alive():
            meanwhile()
            self._runner.join(_WAIT_SECONDS)
        if not self._whole:
            self.abandon()
            return None
        return self._target

    def abandon(self) -> None:
        """Stop, and leave nothing."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._runner.join()
        self._target.unlink(missing_ok=True)

    def _run(self, command: list[str], tools: Tools, reading: int) -> None:
        try:
            result = run(command, math.inf, self._check, caps=tools.caps, stdin=reading)
            # It may end well before it was given everything, with what it has: that isn't the whole stream.
            taken = self._fed and not _unread(reading)
            self._whole = result.returncode == 0 and taken and not self._stopped
        except (Failure, Cancelled, OSError):
            self._whole = False
        finally:
            # Whoever writes at the other end hears of it.
            os.close(reading)

    def _check(self) -> None:
        if self._stopped:
            raise Cancelled

    def _feed(self, writing: int) -> None:
        position = 0
        try:
            with self._source.open("rb", buffering=0) as file:
                while (end := self._wait_for(position)) > position:
                    while position < end and (piece := file.read(min(_READ_BYTES, end - position))):
                        view = memoryview(piece)
                        while view:
                            view = view[os.write(writing, view) :]
                        position += len(piece)
                    if position < end:
                        self._stopped = True  # the file is shorter than was said
                        return
            self._fed = not self._stopped
        except OSError:
            self._stopped = True  # FFmpeg has ended, or the disk can't be read: either way this is no whole copy
        finally:
            os.close(writing)

    def _wait_for(self, position: int) -> int:
        """How many bytes there are, once it is more than `position` or nothing more will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._size > position or self._ended or self._stopped)
            return 0 if self._stopped else self._size


def _unread(pipe: int) -> int:
    """How many bytes wait in the pipe."""
    return int(struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0])


def _index_options(seconds: float, bytes_per_second: float) -> list[str]:
    """The index goes to the front either way: into room left for it, or, of smaller files, by moving all the rest."""
    if _LARGEST_INDEX_SHARE * bytes_per_second < _INDEX_BYTES_PER_SECOND:
        return ["-movflags", "+faststart"]
    return ["-moov_size", str(round(_INDEX_BYTES + seconds * _INDEX_BYTES_PER_SECOND))]
