"""The record beside an unfinished file: whose bytes are on the disk, and which.

`direct.resume.json` is only written after the bytes it tells of have reached the disk, and replaced in one step; so
whenever the process or the machine dies, it is true of what lies beside it, or doesn't fit it and is dropped.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path

from queue_app.downloaders.pieces import Run

PART, RECORD, NEW_RECORD = "direct.part", "direct.resume.json", "direct.resume.json.new"


@dataclasses.dataclass(frozen=True)
class Record:
    """Whose bytes a part file holds, and which of them may be trusted."""

    url: str
    container: str
    name: str
    """What the file is called once it is whole."""
    etag: str = ""
    modified: str = ""
    digest: str = ""
    """The SHA-256 that the source gives, in base64; "" when it gives none."""
    total: int | None = None
    """Bytes of the whole file; None when the source didn't say."""
    front: int = 0
    """So many bytes from the beginning are on the disk."""
    sha256: str = ""
    """In hex, of these bytes."""
    runs: tuple[Run, ...] = ()
    """What is on the disk beyond them."""
    complete: bool = False

    @property
    def validator(self) -> str:
        """What If-Range may hold: a strong ETag, else the date; "" when there is neither."""
        # RFC 9110 §13.1.5: a weak ETag can't tell whether two answers are the same bytes.
        return self.etag if self.etag.startswith('"') else self.modified

    @property
    def useful(self) -> bool:
        """Is there anything to go on from, and can a later call find out whether the source still has the same?"""
        return self.complete or bool(self.validator and (self.front or self.runs))

    def store(self, folder: Path) -> None:
        """Replace the folder's record. Raises OSError."""
        fields = dataclasses.asdict(self) | {"runs": [list(run) for run in self.runs]}
        new = folder / NEW_RECORD
        # Its URL may hold a signature, so nobody else may read it.
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump({"record": fields, "check": _check(fields)}, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(folder / RECORD)


def load(folder: Path) -> Record | None:
    """The folder's record; None when there is none, or it is damaged or of another release."""
    try:
        content = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        fields = content["record"]
        if content["check"] != _check(fields):
            return None
        return Record(**fields | {"runs": tuple(Run(*run) for run in fields["runs"])})
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def remove(folder: Path) -> None:
    """Leave neither record nor part in the folder."""
    # In this order: no moment may have new bytes under an old record.
    for name in (RECORD, NEW_RECORD, PART):
        (folder / name).unlink(missing_ok=True)


def _check(fields: dict[str, object]) -> str:
    """Tells a damaged record, of which little could be told otherwise."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
