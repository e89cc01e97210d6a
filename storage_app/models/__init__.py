"""Tables of the store."""

from __future__ import annotations

from storage_app.models.account import AccountKind, Addressing, CapacitySample, StorageAccount
from storage_app.models.file import Replica, StoredFile
from storage_app.models.mark import ScrubDay, UpkeepMark
from storage_app.models.rules import PlacementPolicy, Reservation, RetentionRule
from storage_app.models.upkeep import Orphan, StorageEvent, StorageTask, TaskKind, Tombstone
from storage_app.models.video import Sidecar, SidecarKind, VideoStore

__all__ = [
    "AccountKind",
    "Addressing",
    "CapacitySample",
    "Orphan",
    "PlacementPolicy",
    "Replica",
    "Reservation",
    "RetentionRule",
    "ScrubDay",
    "Sidecar",
    "SidecarKind",
    "StorageAccount",
    "StorageEvent",
    "StorageTask",
    "StoredFile",
    "TaskKind",
    "Tombstone",
    "UpkeepMark",
    "VideoStore",
]
