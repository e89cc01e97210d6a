"""Is the origin's throttle real? One curl and eight at once have to take what the rate says."""

from __future__ import annotations

import shutil
from contextlib import ExitStack

from rich.console import Console

from benchmarks.downloads.behaviour import RATE, ROUND_TRIP, THROTTLED
from benchmarks.downloads.material import Material
from benchmarks.downloads.running import Measured, OriginProcess
from benchmarks.downloads.turns import place

_TOLERANCE = 0.03
_START_SECONDS = 0.1
"""What starting eight programs may take on a busy machine."""


def check_origin(material: Material, console: Console, seconds: float) -> bool:
    """Fetch as much as takes `seconds` by curl; say how long it took. False when it is 3 % (and 0.1 s) off."""
    if shutil.which("curl") is None:
        console.print("The origin is not checked: curl is missing.")
        return True
    size = min(material.file_bytes, int(RATE * seconds))
    # A new connection costs one round trip, the request another.
    wanted = size / RATE + 2 * ROUND_TRIP
    honest = True
    for at_once in (1, 8):
        with place(material) as folder, OriginProcess(material.manifest, THROTTLED) as origin:
            command = ["curl", "-q", "-sS", "-f", "-r", f"0-{size - 1}", "-o", "/dev/null", origin.url("/file.mp4")]
            with ExitStack() as stack:
                logs = [folder / f"log{number}" for number in range(at_once)]
                started = [stack.enter_context(Measured(command, log)) for log in logs]
                took = [measured.wait(10 * wanted) for measured in started]
        worst = max((usage.wall for usage in took), key=lambda wall: abs(wall - wanted))
        right = abs(worst - wanted) <= max(_TOLERANCE * wanted, _START_SECONDS) and not any(
            usage.problem for usage in took
        )
        honest = honest and right
        console.print(
            f"The origin's throttle, {at_once} curl at once: {worst:.2f} s for {size / 1e6:.0f} MB each,"
            f" {wanted:.2f} s by the rate: {'real' if right else 'NOT REAL'}"
        )
    return honest
