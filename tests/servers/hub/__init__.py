"""A Hugging Face Hub on loopback that the unmodified client can't tell from the real one, and that misbehaves."""

from tests.servers.hub.app import Hub, Seen
from tests.servers.hub.faults import (
    CutUpload,
    Damage,
    Empty,
    LoseAnswer,
    Refuse,
    Revoke,
    Silence,
    WrongHash,
    WrongSize,
    busy,
    forbidden,
    full,
    stale,
    too_many_requests,
)
from tests.servers.hub.state import Entry, Repo, User
from tests.servers.misbehaviour import Cut, Slow, Stall, Status

__all__ = [
    "Cut",
    "CutUpload",
    "Damage",
    "Empty",
    "Entry",
    "Hub",
    "LoseAnswer",
    "Refuse",
    "Repo",
    "Revoke",
    "Seen",
    "Silence",
    "Slow",
    "Stall",
    "Status",
    "User",
    "WrongHash",
    "WrongSize",
    "busy",
    "forbidden",
    "full",
    "stale",
    "too_many_requests",
]
