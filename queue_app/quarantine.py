"""Where refused downloads are kept aside for a person to look at, if the operator so sets (QUARANTINE_DIR)."""

from __future__ import annotations

import json
import logging
import shutil
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from queue_app.failures import Failure

log = logging.getLogger(__name__)

REASON = "reason.json"
_DAY = 86_400


def keep_aside(folder: Path, root: Path, name: str, failure: Failure) -> Path | None:
    """Move what lies in `folder` to a new folder below `root`, with the reason beside it; None when nothing does.

    `name` says whose it is. A move to another disk is a copy; when that fails, what is there is removed again and the
    OSError raised.
    """
    files = [path for path in folder.iterdir() if path.is_file() and not path.name.endswith(".json")]
    if not files:
        return None
    moment = datetime.now(UTC)
    target = root / f"{moment:%Y%m%dT%H%M%S}-{name}"
    target.mkdir(parents=True, mode=0o700)
    try:
        reason = {"at": moment.isoformat(), "failure_class": failure.failure_class, "reason": str(failure)}
        (target / REASON).write_text(json.dumps({**reason, "details": failure.details}, indent=2), encoding="utf-8")
        for path in files:
            shutil.move(path, target / path.name)
    except OSError:
        shutil.rmtree(target, ignore_errors=True)
        raise
    return target


def forget_old(root: Path, days: int) -> int:
    """Remove what has been kept for longer than so many days; how many folders."""
    limit = time.time() - days * _DAY
    old = [kept for kept, moment in _kept(root) if moment < limit]
    for kept in old:
        shutil.rmtree(kept, ignore_errors=True)
    return len(old)


def make_room(root: Path, most: int) -> int:
    """Remove the oldest until no more than `most` bytes are kept; how many folders."""
    found = sorted(_kept(root), key=lambda entry: entry[1])
    sizes = [_size(kept) for kept, _ in found]
    total, removed = sum(sizes), 0
    for (kept, _), size in zip(found, sizes, strict=True):
        if total <= most:
            break
        shutil.rmtree(kept, ignore_errors=True)
        total, removed = total - size, removed + 1
    return removed


def _kept(root: Path) -> list[tuple[Path, float]]:
    """What is kept, each with the time of its refusal. Whatever else lies there, or has just gone, is left out."""
    found = []
    with suppress(OSError):
        for kept in root.iterdir():
            with suppress(OSError):
                found.append((kept, (kept / REASON).stat().st_mtime))
    return found


def _size(folder: Path) -> int:
    total = 0
    with suppress(OSError):
        for path in folder.iterdir():
            total += path.lstat().st_size
    return total
