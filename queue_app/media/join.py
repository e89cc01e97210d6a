"""The groups and tracks of a stream into one MP4 without touching a picture.

A group is what was cut from one encoding: its timestamps begin anywhere, and the next group's have nothing to do with
them. FFmpeg's concat demuxer moves each group's earliest timestamp to where the list says that it belongs: after the
announced durations of those before it, later by as much as this track began after the others in the same group. So
sound that is 80 ms late in its own playlist stays 80 ms late. A new resolution or profile is fine, as the parameter
sets travel within the stream; another codec is not, for a track of an MP4 file has one (ISO/IEC 14496-12 §8.5.2).
Sound of another codec, rate or number of channels than the rest has is encoded like the rest.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from queue_app.failures import BadSource, Transient
from queue_app.media.ffmpeg import CancelCheck, Tools, find_tools, run
from queue_app.media.languages import iso_639_2
from queue_app.media.piece import Piece, StreamKind, opened, read_piece
from queue_app.media.remux import REMUX_SECONDS, check_result

if TYPE_CHECKING:
    from queue_app.downloaders.base import Downloaded, Track

_CLOCK_SECONDS = 2**33 / 90_000
"""After which the clock of MPEG-TS begins anew (ISO/IEC 13818-1 §2.4.3.7)."""
_OVERLAP_SECONDS = 0.01
"""Sound comes in frames, so it may end a little after the pictures, when the next group has begun; less than a frame of
it, for MP4 wants the times of decoding to grow."""
_OVERRUN_SECONDS = 5.0
"""A group may be so much longer than announced; with more, its timestamps are taken to be wrong."""
_PREFIX = "join-"
_ENCODERS = {"aac", "ac3", "eac3"}
"""Codecs of sound for which FFmpeg has an encoder of the same name that its static builds contain."""
_QUIET = ["-hide_banner", "-nostdin", "-y", "-v", "error"]
"""Without -xerror, which refuses sound that a group has too much of: so FFmpeg moves that by some milliseconds."""


@dataclass
class _Line:
    """One track: its pieces, and where in the video each of them begins, in seconds."""

    track: Track
    pieces: list[Piece]
    positions: list[float]


def join_to_mp4(
    downloaded: Downloaded,
    target: Path,
    *,
    tools: Tools | None = None,
    timeout: float = REMUX_SECONDS,
    cancelled: CancelCheck | None = None,
) -> None:
    """Copy all tracks of a `Downloaded` that has `tracks` into the MP4 file `target`, its index in front.

    Sound keeps its place beside the pictures, and its language. Subtitle and data streams are left out. `target`
    appears only when whole. Small files `join-…` lie beside the groups meanwhile. Raises BadSource, DiskFull,
    Transient after `timeout` seconds, and what `cancelled` raises.
    """
    join = _Join(tools or find_tools(), time.monotonic() + timeout, timeout, cancelled)
    part = target.with_name(f"{target.name}.part")
    # Beside the groups: FFmpeg wants the lists to name them relative to themselves.
    folder = downloaded.path.parent
    _clear(folder)
    try:
        join.write(downloaded.tracks, part, folder)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
        _clear(folder)


def _clear(folder: Path) -> None:
    """Remove what a join, perhaps one that was killed, has left."""
    for path in folder.glob(f"{_PREFIX}*"):
        path.unlink(missing_ok=True)


class _Join:
    def __init__(self, tools: Tools, deadline: float, timeout: float, cancelled: CancelCheck | None) -> None:
        self._tools, self._deadline, self._timeout, self._cancelled = tools, deadline, timeout, cancelled

    def write(self, tracks: tuple[Track, ...], part: Path, folder: Path) -> None:
        lines = self._lines(tracks)
        if not any(stream.kind == "video" for stream in lines[0].pieces[0].streams):
            raise BadSource("The stream has no video.")
        for line in lines:
            _check_codecs(line)
            if not _alike(line.pieces):
                sound = _usual_sound(line.pieces)
                line.pieces = [self._normalised(piece, sound, folder) for piece in line.pieces]
        inputs = [argument for number, line in enumerate(lines) for argument in _input(line, number, folder)]
        maps = ["-map", "0:V:0", "-map", "0:a?"]
        maps += [argument for number in range(1, len(lines)) for argument in ("-map", f"{number}:a:0")]
        output = ["-c", "copy", *_descriptions(lines), "-movflags", "+faststart", "-f", "mp4"]
        self._run([*_QUIET, *inputs, *maps, *output, f"file:{part.absolute()}"])

    def _lines(self, tracks: tuple[Track, ...]) -> list[_Line]:
        all_pieces = [[self._read(group) for group in track.groups] for track in tracks]
        positions = _positions(all_pieces)
        return [_Line(*line) for line in zip(tracks, all_pieces, positions, strict=True)]

    def _read(self, group: object) -> Piece:
        return read_piece(group, self._tools, self._left(), self._cancelled)  # type: ignore[arg-type]

    def _normalised(self, piece: Piece, sound: tuple[StreamKind, ...], folder: Path) -> Piece:
        """The piece's pictures and sound alone, in this order, as MPEG-TS, whose parameter sets are in the stream.

        Sound that isn't like `sound` is encoded anew, for a player would play it at the wrong speed or not at all.
        """
        target = folder / f"{_PREFIX}{piece.path.stem}.ts"
        coding = ["-c", "copy"]
        for number, (found, wanted) in enumerate(zip(piece.of_kind("audio"), sound, strict=False)):
            if found != wanted:
                coding += [f"-c:a:{number}", wanted.codec, f"-ar:a:{number}", str(wanted.rate)]
                coding += [f"-ac:a:{number}", str(wanted.channels)]
        maps = ["-map", "0:V:0?", "-map", "0:a?", "-avoid_negative_ts", "make_zero", "-f", "mpegts"]
        self._run([*_QUIET, *opened(piece.path, piece.demuxer), *coding, *maps, f"file:{target.absolute()}"])
        return piece.moved_to(target)

    def _run(self, arguments: list[str]) -> None:
        result = run([self._tools.ffmpeg, *arguments], self._left(), self._cancelled, caps=self._tools.caps)
        check_result(result.returncode, result.stderr)

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise Transient(f"Joining the stream took longer than {self._timeout:.0f} s and was stopped.")
        return left


def _positions(all_pieces: list[list[Piece]]) -> list[list[float]]:
    """Where each piece of each track begins in the video, in seconds."""
    main = all_pieces[0]
    begin = 0.0
    found: list[list[float]] = [[] for _ in all_pieces]
    together = [number for number, pieces in enumerate(all_pieces) if len(pieces) == len(main)]
    for group in range(len(main)):
        late = _lateness([all_pieces[number][group] for number in together])
        if group:
            begin += main[group - 1].announced
            begin += max(_overrun(all_pieces[n][group - 1], all_pieces[n][group]) for n in together)
        for number, seconds in zip(together, late, strict=True):
            found[number].append(begin + seconds)
    for line, pieces in zip(found, all_pieces, strict=True):
        if not line:
            # Its discontinuities are elsewhere: only the beginnings can be compared.
            line.append(_lateness([main[0], pieces[0]])[1])
            for piece in pieces[:-1]:
                line.append(line[-1] + piece.announced)
    return found


def _overrun(old: Piece, new: Piece) -> float:
    """By how many seconds a stream of `old` would go on after that of `new` has begun."""
    overlaps = [
        before[1] - (old.announced + after[0])
        for before, after in zip(old.spans, new.spans, strict=False)
        if before is not None and after is not None
    ]
    return max((o for o in overlaps if _OVERLAP_SECONDS < o < _OVERRUN_SECONDS), default=0.0)


def _lateness(pieces: list[Piece]) -> list[float]:
    """By how many seconds each of these pieces, which share a clock, begins after the first of them to begin."""
    found = []
    for piece in pieces:
        late = 0.0 if piece.start is None or pieces[0].start is None else piece.start - pieces[0].start
        found.append(math.remainder(late, _CLOCK_SECONDS) if piece.wraps and pieces[0].wraps else late)
    return [late - min(found) for late in found]


def _check_codecs(line: _Line) -> None:
    """Raise BadSource when the pieces can't stand in the same tracks of an MP4 file."""
    first = line.pieces[0]
    for number, piece in enumerate(line.pieces[1:], 1):
        before, after = first.of_kind("video"), piece.of_kind("video")
        if len(before) != len(after):
            raise BadSource(f"The stream has pictures before or after its discontinuity {number} only.")
        if before != after:
            raise BadSource(
                f"The stream changes its video from {before[0]} to {after[0]} at its discontinuity {number}, "
                "which one MP4 file can't hold without encoding it anew."
            )
        if len(piece.of_kind("audio")) > len(first.of_kind("audio")):
            raise BadSource(f"The stream has more sound tracks after its discontinuity {number} than at its beginning.")
        if piece.of_kind("audio") != first.of_kind("audio") and not _encodable(line.pieces):
            raise BadSource(f"The stream changes its audio codec at its discontinuity {number} to one of another kind.")


def _usual_sound(pieces: list[Piece]) -> tuple[StreamKind, ...]:
    """The kinds of sound that most of the stream has."""
    lengths: Counter[tuple[StreamKind, ...]] = Counter()
    for piece in pieces:
        sound = piece.of_kind("audio")
        if len(sound) == len(pieces[0].of_kind("audio")):
            lengths[sound] += max(1, round(piece.announced * 1000))
    return lengths.most_common(1)[0][0]


def _encodable(pieces: list[Piece]) -> bool:
    return all(sound.codec in _ENCODERS and sound.rate and sound.channels for sound in _usual_sound(pieces))


def _alike(pieces: list[Piece]) -> bool:
    """Can FFmpeg join these as they are? It tells streams by their place in the file."""
    first = pieces[0]
    if len(pieces) > 1 and first.demuxer == "mov" and any(stream.codec == "hevc" for stream in first.streams):
        return False
    if any(piece.demuxer != first.demuxer for piece in pieces):
        return False
    return all(piece.streams == first.streams[: len(piece.streams)] for piece in pieces) and all(
        len(piece.of_kind("video")) == len(first.of_kind("video")) for piece in pieces
    )


def _input(line: _Line, number: int, folder: Path) -> Iterator[str]:
    """The arguments that open a track, placed where it begins."""
    yield from ("-itsoffset", f"{line.positions[0]:.6f}")
    first = line.pieces[0]
    if len(line.pieces) == 1:
        yield from opened(first.path, first.demuxer)
        return
    parts = ["ffconcat version 1.0"]
    for index, (piece, begin) in enumerate(zip(line.pieces, line.positions, strict=True)):
        parts.append(f"file {piece.path.name}")
        if index + 1 < len(line.pieces):
            parts.append(f"duration {max(0.0, line.positions[index + 1] - begin):.6f}")
    listed = folder / f"{_PREFIX}{number}.ffconcat"
    listed.write_text("\n".join(parts) + "\n", encoding="utf-8")
    yield from opened(listed, "concat", also=first.demuxer)


def _descriptions(lines: list[_Line]) -> Iterator[str]:
    """Language and name of each sound track; the first one is what a player takes."""
    number = 0
    for line in lines:
        sounds = line.pieces[0].of_kind("audio")
        for _ in sounds if line is lines[0] else sounds[:1]:
            if language := iso_639_2(line.track.language):
                yield from (f"-metadata:s:a:{number}", f"language={language}")
            if line.track.name:
                yield from (f"-metadata:s:a:{number}", f"handler_name={_printable(line.track.name)}")
            yield from (f"-disposition:a:{number}", "default" if number == 0 else "0")
            number += 1


def _printable(name: str) -> str:
    return "".join(character for character in name if character.isprintable())[:200]
