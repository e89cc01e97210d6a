"""What a download brought beside the video, as files for the store."""

from __future__ import annotations

import re
from itertools import chain, count

from queue_app.artifact import SidecarFile
from queue_app.downloaders import Downloaded
from queue_app.media.proof import sha256_file

_IMAGES = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
_VTT = "text/vtt; charset=utf-8"  # RFC 9110 §8.3.1, W3C WebVTT §8


def sidecars_of(fetched: Downloaded) -> tuple[SidecarFile, ...]:
    """The thumbnail and the subtitles that lie beside the fetched video."""
    return (*_thumbnail(fetched), *_subtitles(fetched))


def _thumbnail(fetched: Downloaded) -> list[SidecarFile]:
    image = fetched.page.thumbnail if fetched.page else None
    if image is None or image.suffix not in _IMAGES:
        return []
    size, sha256 = image.stat().st_size, sha256_file(image)
    return [SidecarFile(image.name, "thumbnail", image.suffix, _IMAGES[image.suffix], size, sha256)]


def _subtitles(fetched: Downloaded) -> list[SidecarFile]:
    found: list[SidecarFile] = []
    suffixes: set[str] = set()
    for subtitles in fetched.subtitles:
        language = _language(subtitles.language)
        suffix = _unused(language or "und", suffixes)  # BCP 47: undetermined
        suffixes.add(suffix.lower())
        path = subtitles.path
        size, sha256 = path.stat().st_size, sha256_file(path)
        name = subtitles.name[:200]
        found.append(SidecarFile(path.name, "subtitles", suffix, _VTT, size, sha256, language, name))
    return found


def _unused(tag: str, taken: set[str]) -> str:
    numbered = (f".{tag}-{number}.vtt" for number in count(2))
    return next(suffix for suffix in chain([f".{tag}.vtt"], numbered) if suffix.lower() not in taken)


def _language(value: str | None) -> str:
    """A BCP 47 tag that may be part of a file name, else nothing."""
    return value if value and re.fullmatch(r"[A-Za-z0-9-]{1,35}", value) else ""
