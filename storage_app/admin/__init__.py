"""Admin pages of the store."""

from __future__ import annotations

from storage_app.admin import account, rules, sidecar, stored_file, upkeep, video_store

__all__ = ["account", "rules", "sidecar", "stored_file", "upkeep", "video_store"]
