"""Takes the videos of a file into the queue, a batch at a time. What is in already stays as it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from queue_app.api.serializers import PRIORITY_MAX, PRIORITY_MIN, PriorityField, VideoRequestSerializer
from queue_app.intake import Intake, Refused, Taken, enqueue
from queue_app.states import VideoStatus
from queue_app.video_files import Line

BATCH = 1000
ERRORS_KEPT = 1000

Told = Callable[[int, Taken | Refused], None]


class FileRowSerializer(VideoRequestSerializer):
    """What a line of a file may say: what /trigger takes, and a priority."""

    priority = PriorityField(required=False, allow_null=True, min_value=PRIORITY_MIN, max_value=PRIORITY_MAX)


@dataclass
class Summary:
    """How an import went. `errors` keeps the first thousand refusals."""

    new: int = 0
    revived: int = 0
    known: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)

    def count(self, line: int, result: Taken | Refused) -> None:
        """Add one line's result."""
        if isinstance(result, Refused):
            self.refused += 1
            if len(self.errors) < ERRORS_KEPT:
                self.errors.append({"line": line, "errors": result.errors})
        elif result.result.before is None:
            self.new += 1
        elif is_revived(result):
            self.revived += 1
        else:
            self.known[result.result.before] += 1

    @property
    def lines(self) -> int:
        """Lines that weren't blank."""
        return self.new + self.revived + self.known.total() + self.refused


def is_revived(taken: Taken) -> bool:
    """Had it failed or been cancelled, and starts afresh?"""
    return taken.result.before in {VideoStatus.FAILED, VideoStatus.CANCELLED}


def import_videos(lines: Iterator[Line], *, dry_run: bool, tell: Told) -> Iterator[Summary]:
    """Takes batch after batch, each in one transaction, and yields the summary so far after each.

    `tell` hears of every line. Interrupted, it may be run again from the start.
    """
    summary, intake = Summary(), Intake(FileRowSerializer)
    while batch := list(islice(lines, BATCH)):
        for line, result in zip(batch, _take(intake, batch, dry_run=dry_run), strict=True):
            summary.count(line.number, result)
            tell(line.number, result)
        yield summary
    yield summary


def _take(intake: Intake, batch: Sequence[Line], *, dry_run: bool) -> list[Taken | Refused]:
    checked = iter(intake.check([line.item for line in batch if not line.fault]))
    return enqueue(
        [Refused({"line": [line.fault]}) if line.fault else next(checked) for line in batch], dry_run=dry_run
    )
