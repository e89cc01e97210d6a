"""One contender's turn: what is measured, and how often."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from statistics import median

from benchmarks.playing.contenders import Contender, Running, Scene
from benchmarks.playing.viewers import Span, digest, first_bytes, pull, stalling

VIEWERS = 50
_GIGABYTE = 1e9


@dataclass(frozen=True)
class Amounts:
    """How much of everything."""

    size: int
    """Of the file, in bytes; one viewer takes all of it."""
    share: int
    """What each of the many takes."""
    times: int
    """First bytes that are looked at."""


@dataclass(frozen=True)
class Figures:
    """What came out. Rates in MB/s, processor time in s/GB, first bytes in ms."""

    rate: float
    cpu: float
    first: float
    rate_many: float
    cpu_many: float
    first_many: float
    """The median viewer's."""
    beside: float
    """The first byte of one more viewer while all the others take nothing."""


def one_turn(contender: Contender, scene: Scene, amounts: Amounts, sha256: str) -> Figures:
    """Raises AnswerError when what it serves isn't the file."""
    with contender.start(scene) as running:
        if digest(running.url, amounts.size) != sha256:
            raise ValueError(f"{contender.name}: the bytes are not those of the file.")
        first_bytes(running.url, 5)  # warm
        first = median(first_bytes(running.url, amounts.times))
        rate, cpu, _ = _measured(running, [(0, amounts.size - 1)])
        rate_many, cpu_many, firsts = _measured(running, spans(amounts))
        with stalling(running.url, VIEWERS):
            beside = median(first_bytes(running.url, amounts.times))
        return Figures(rate, cpu, first, rate_many, cpu_many, median(firsts), beside)


def spans(amounts: Amounts) -> list[Span]:
    """Where each of the many begins: spread over the file, as viewers are."""
    step = (amounts.size - amounts.share) // VIEWERS
    return [(number * step, number * step + amounts.share - 1) for number in range(VIEWERS)]


def _measured(running: Running, wanted: list[Span]) -> tuple[float, float, list[float]]:
    before = running.cpu_seconds()
    done = pull(running.url, wanted)
    used = running.cpu_seconds() - before
    return done.size / 1e6 / done.seconds, used / (done.size / _GIGABYTE), done.first


def middle(turns: Iterable[Figures]) -> Figures:
    """The median of each figure."""
    values = [asdict(turn) for turn in turns]
    return Figures(**{field.name: median(value[field.name] for value in values) for field in fields(Figures)})
