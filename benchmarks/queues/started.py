"""Tells the wake-up benchmark that a job has started: one datagram with the clock that all processes share."""

from __future__ import annotations

import contextlib
import os
import socket
import time

_ADDRESS = os.environ.get("BENCH_STARTED", "")


def tell_started() -> None:
    """Nothing happens unless somebody wants to know."""
    if _ADDRESS:
        now = time.monotonic_ns()
        with (
            contextlib.suppress(FileNotFoundError, ConnectionRefusedError),  # nobody listens (yet)
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
        ):
            sender.sendto(str(now).encode(), _ADDRESS)
