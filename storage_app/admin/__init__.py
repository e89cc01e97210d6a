"""Admin pages of the store."""

from __future__ import annotations

from storage_app.admin import account, sidecar, stored_file, video_store

__all__ = ["account", "sidecar", "stored_file", "video_store"]
