"""What `manage.py check` says of settings that contradict what is installed; `make run` doesn't start with an error."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

from queue_app.resolvers import asking


def resolvers_exist(**_kwargs: Any) -> list[CheckMessage]:
    """queue_app.E001: RESOLVERS names one that there isn't."""
    known = asking.names()
    unknown = [name for name in settings.RESOLVERS if name not in known]
    if not unknown:
        return []
    text = f"RESOLVERS names {', '.join(map(repr, unknown))}: there is no such resolver, so it resolves nothing."
    return [Error(text, hint=f"There are {', '.join(known)} (docs/sources.md).", id="queue_app.E001")]
