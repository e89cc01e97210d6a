"""What can be wrong with an origin."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

FOREVER = 1_000_000_000


@dataclass
class Misbehaviour:
    """What goes wrong, for `times` requests of a path, after the first `skip` ones."""

    times: int = FOREVER
    skip: int = field(default=0, kw_only=True)


@dataclass
class Status(Misbehaviour):
    """Answer a status with a short body."""

    code: int = 503
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Body(Misbehaviour):
    """Answer 200 with this body; `length=None` sends no Content-Length and ends by closing."""

    content: bytes = b""
    content_type: str = "video/mp4"
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = -1


@dataclass
class Redirect(Misbehaviour):
    """Answer 302 to anywhere."""

    to: str = "/"


@dataclass
class Cut(Misbehaviour):
    """Promise the whole, close the connection after some bytes of the body."""

    after: int = 0


@dataclass
class Stall(Misbehaviour):
    """Promise the whole, fall silent after some bytes of the body until the client leaves."""

    after: int = 0


@dataclass
class Slow(Misbehaviour):
    """Send so many bytes each second."""

    bytes_per_second: int = 100_000


@dataclass
class AtMost(Misbehaviour):
    """Answer a status to whoever comes while so many others are being answered."""

    connections: int = 1
    code: int = 503
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class NoRange(Misbehaviour):
    """Ignore Range."""


@dataclass
class WrongRange(Misbehaviour):
    """Answer 206 with a Content-Range that starts `shift` bytes beside what was asked, and with those
    bytes.
    """

    shift: int = 7


@dataclass
class Chunked(Misbehaviour):
    """Send the whole file in chunks (RFC 9112 §7.1), without saying how long it is."""


@dataclass
class Total(Misbehaviour):
    """Say in Content-Range that the whole file has so many bytes."""

    size: int = 0


@dataclass
class Changed(Misbehaviour):
    """Send another ETag than before, and honour Range without looking at If-Range."""

    etag: str = '"other"'


@dataclass
class Headers(Misbehaviour):
    """Send these with the file beside or instead of its own; an empty value takes a header away.

    Whoever changes the validators: If-Range is compared with the ETag, else the Last-Modified, that is sent.
    """

    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Needs(Misbehaviour):
    """Answer 403 to whoever doesn't send exactly these headers."""

    headers: dict[str, str] = field(default_factory=dict)


def use_up(planned: Iterable[Misbehaviour]) -> dict[type[Misbehaviour], Any]:
    """What of this goes wrong with the request that has just come; each is counted. The caller holds its lock."""
    plans = [plan for plan in planned if plan.times > 0]
    now = {type(plan): plan for plan in plans if plan.skip <= 0}
    for plan in plans:
        plan.skip -= 1
    for plan in now.values():
        plan.times -= 1
    return now
