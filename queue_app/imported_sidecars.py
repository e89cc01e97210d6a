"""Thumbnails and subtitles that lie beside a file which is imported: of its name, with another suffix."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from queue_app.media.proof import sha256_file
from queue_app.queue import Place
from storage_app.manifest_format import FileEntry

MAX_BYTES = 50 * 1024 * 1024
_IMAGES = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
_VTT = "text/vtt; charset=utf-8"  # RFC 9110 §8.3.1, W3C WebVTT §8
_LANGUAGE = re.compile(r"[A-Za-z0-9-]{1,35}")  # BCP 47, as far as it may be part of a file name


@dataclass(frozen=True)
class Beside:
    """A file beside the video, and where it is to lie."""

    source: Path
    entry: FileEntry
    kind: str
    language: str = ""

    def as_json(self) -> dict[str, Any]:
        """For the manifest."""
        return {**asdict(self.entry), "kind": self.kind, "language": self.language, "name": ""}


def beside(video: Path, own: Place) -> list[Beside]:
    """NAME.jpg, .png or .webp, one of them, and each NAME.LANGUAGE.vtt or NAME.vtt for the video NAME.mp4."""
    stem = PurePosixPath(own.path).with_suffix("")
    found = []
    images = (video.with_suffix(suffix) for suffix in _IMAGES)
    if image := next((path for path in images if _is_good(path)), None):
        found.append(
            Beside(image, _entry(image, own.repo, f"{stem}{image.suffix}", _IMAGES[image.suffix]), "thumbnail")
        )
    for path in sorted(video.parent.iterdir()):
        tag = path.name[len(video.stem) : -len(".vtt")].removeprefix(".")
        if path.name not in {f"{video.stem}.{tag}.vtt", f"{video.stem}.vtt"} or not _is_good(path):
            continue
        if tag and not _LANGUAGE.fullmatch(tag):
            continue
        entry = _entry(path, own.repo, f"{stem}.{tag or 'und'}.vtt", _VTT)
        found.append(Beside(path, entry, "subtitles", tag))
    return found


def _is_good(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and 0 < path.stat().st_size <= MAX_BYTES


def _entry(path: Path, repo: str, target: str, content_type: str) -> FileEntry:
    return FileEntry(repo, target, sha256_file(path), path.stat().st_size, content_type)
