"""How the origin behaves: the link it pretends to be at the end of, and what goes wrong on purpose."""

from __future__ import annotations

from dataclasses import dataclass

RATE = 4_000_000
ROUND_TRIP = 0.040


@dataclass(frozen=True)
class Behaviour:
    """Of one origin process; travels to it as JSON. What is drawn at random is drawn from `seed`."""

    rate: int | None = None
    """Bytes per second on each connection; None: as fast as it goes."""
    round_trip: float = 0.0
    """Seconds from a request to its answer's first byte, and again for a new connection."""
    cut_share: float = 0.0
    """This share of the answers that are longer than it is cut after up to `cut_within` bytes."""
    cut_within: int = 16_000_000
    busy_share: float = 0.0
    """This share of the requests, but never the first, is answered 503."""
    answers: int | None = None
    """So many answers at once; a request beyond them gets 503."""
    slow_every: int | None = None
    """Each so-manieth connection has a tenth of the rate."""
    seed: int = 4


PLAIN = Behaviour()
THROTTLED = Behaviour(rate=RATE, round_trip=ROUND_TRIP)
