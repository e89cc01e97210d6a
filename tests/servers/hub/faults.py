"""What can be wrong with the Hub, beside the `Status`, `Cut`, `Stall` and `Slow` of every origin."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.servers.misbehaviour import Misbehaviour


@dataclass
class Refuse(Misbehaviour):
    """Answer an error the way the Hub words one: JSON body, `X-Error-Message`, and `X-Error-Code` if there is one."""

    code: int = 503
    message: str = "Service unavailable"
    error_code: str = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class CutUpload(Misbehaviour):
    """Hang up after so many bytes of the request's body have arrived."""

    after: int = 0


@dataclass
class LoseAnswer(Misbehaviour):
    """Do what was asked, then hang up instead of saying so."""


@dataclass
class Silence(Misbehaviour):
    """Take the request and never answer, until the client leaves or the Hub is stopped."""


@dataclass
class Revoke(Misbehaviour):
    """From this request on the user's token is refused."""


@dataclass
class Empty(Misbehaviour):
    """Say that there is nothing: a list without entries, a path that doesn't exist."""


@dataclass
class WrongHash(Misbehaviour):
    """Name another sha256 than the true one; an upload is refused as one that doesn't match."""


@dataclass
class WrongSize(Misbehaviour):
    """Name a size that is one byte short."""


@dataclass
class Damage(Misbehaviour):
    """Flip a bit of the body that arrives, and store that."""


def too_many_requests(seconds: int, times: int = 1) -> Refuse:
    """The Hub's rate limit, to be tried again after so many seconds."""
    return Refuse(times, code=429, message="You have been rate limited", headers={"Retry-After": str(seconds)})


def forbidden(times: int = 1) -> Refuse:
    """The token may not do this."""
    return Refuse(times, code=403, message="Forbidden: you must use a write token to upload to a repository.")


def full(times: int = 1) -> Refuse:
    """The account has no room left."""
    return Refuse(times, code=403, message=FULL)


def busy(times: int = 1) -> Refuse:
    """Another commit to the same repository is under way."""
    return Refuse(times, code=409, message="Another commit is in progress. Please try again.")


def stale(times: int = 1) -> Refuse:
    """The repository's head has moved."""
    return Refuse(times, code=412, message="A commit has happened since. Please refresh and try again.")


FULL = "Private repository storage limit reached, please upgrade your plan to increase your private storage limit."
