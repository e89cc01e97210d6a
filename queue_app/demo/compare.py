"""Is what comes out of the archive what went in? Asked over HTTP, as a player would."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import requests

from queue_app.demo.videos import frame_hashes
from queue_app.media.proof import sha256_file

TIMEOUT = (5, 60)
CHUNK = 1024 * 1024


@dataclass
class Verdict:
    """What was compared, and what differed. Equal is who has no differences."""

    checks: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    def note(self, check: str, *, equal: bool) -> None:
        """Add one comparison."""
        (self.checks if equal else self.differences).append(check)


def compare(url: str, sha256: str, size: int, *, source_file: Path | None, source_stream: Path | None) -> Verdict:
    """Read `url` whole and in part and hold it against the archive's own record and, where given, the source:
    byte for byte against `source_file`, frame for frame against the MPEG-TS file `source_stream`."""
    verdict = Verdict()
    with tempfile.TemporaryDirectory(prefix="reelkeep-demo-") as folder:
        played = Path(folder) / "played.mp4"
        _fetch(url, played)
        verdict.note("size", equal=played.stat().st_size == size)
        verdict.note("sha256 of the whole", equal=sha256_file(played) == sha256)
        verdict.note("a Range in the middle", equal=_range_matches(url, played))
        if source_file is not None:
            verdict.note("every byte of the source", equal=played.read_bytes() == source_file.read_bytes())
        if source_stream is not None:
            verdict.note("every frame of the source", equal=frame_hashes(played) == frame_hashes(source_stream))
    return verdict


def _fetch(url: str, target: Path) -> None:
    with requests.get(url, stream=True, timeout=TIMEOUT) as response, target.open("wb") as file:
        response.raise_for_status()
        for chunk in response.iter_content(CHUNK):
            file.write(chunk)


def _range_matches(url: str, whole: Path) -> bool:
    size = whole.stat().st_size
    start, end = size // 3, min(size // 3 + 99_999, size - 1)
    response = requests.get(url, headers={"Range": f"bytes={start}-{end}"}, timeout=TIMEOUT)
    with whole.open("rb") as file:
        file.seek(start)
        expected = file.read(end - start + 1)
    return (
        response.status_code == 206
        and response.headers["Content-Range"] == f"bytes {start}-{end}/{size}"
        and hashlib.sha256(response.content).digest() == hashlib.sha256(expected).digest()
    )
