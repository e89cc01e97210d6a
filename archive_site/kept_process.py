"""A program that is started again when it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from archive_site.process_tree import kill_trees

BASE_DIR = Path(__file__).resolve().parent.parent
RESTART_SECONDS = 2.0


class KeptProcess:
    """One program in a session of its own, so that Ctrl-C in the terminal is for its parent, which then stops it.

    The variable REELKEEP_PARENT tells the program who that is, for `die_with_parent`. `died` is told its exit status
    before it is started again. Without `output` it writes where its parent writes.
    """

    def __init__(
        self,
        command: list[str],
        *,
        died: Callable[[int], None],
        environment: Mapping[str, str] | None = None,
        output: Path | None = None,
    ) -> None:
        self._command = command
        self._died = died
        self._environment = environment or {}
        self._output = output
        self._process: subprocess.Popen[bytes] | None = None
        self._start_at = 0.0

    def keep_running(self) -> None:
        """Start it unless it runs; one that died is started again after a short rest."""
        if self.alive or time.monotonic() < self._start_at:
            return
        if self._process is not None:
            self._died(self._process.returncode)
        self._start_at = time.monotonic() + RESTART_SECONDS
        output = None if self._output is None else self._output.open("ab")
        self._process = subprocess.Popen(
            self._command,
            cwd=BASE_DIR,
            env={**os.environ, **self._environment, "REELKEEP_PARENT": str(os.getpid())},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        if output is not None:
            output.close()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def signal(self, signum: signal.Signals) -> None:
        """Send it a signal, if it still runs. Doesn't wait."""
        if self._process is not None and self.alive:
            self._process.send_signal(signum)

    def kill(self) -> None:
        """End it and all that it has started, at once."""
        if self._process is not None:
            kill_trees([self._process.pid])
            self._process.wait()
