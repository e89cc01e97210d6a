"""Sources: where the episodes of works may be had, shown to players before and after they are archived."""

from queue_app.sources.playable import playable_source

__all__ = ["playable_source"]
