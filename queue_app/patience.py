"""Writing the end of an attempt through a restart of the database."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

T = TypeVar("T")

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 120.0


def through_outages(write: Callable[[], T]) -> T:
    """`write()`, tried again on a fresh connection while the database can't be reached, for two minutes.

    A first try may have been committed although its answer was lost: `write` must be harmless to repeat. Raises the
    last OperationalError when patience ends; the lease has run out by then and the job is somebody else's.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    wait = 0.1
    while True:
        try:
            return write()
        except (OperationalError, InterfaceError) as error:
            connection.close()
            if time.monotonic() + wait > deadline:
                raise
            log.warning("The database can't be reached (%s), trying again in %.1f s.", type(error).__name__, wait)
            time.sleep(wait)
            wait = min(wait * 2, 5.0)
