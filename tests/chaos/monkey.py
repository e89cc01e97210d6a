"""The one who kills and suspends. Its choices follow from the seed; what they meet depends on the moment."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import psutil

from tests.chaos.database import Database
from tests.chaos.host import Host, Role

LONGER_THAN_A_LEASE = (6.0, 9.0)
SHORT = (0.5, 6.0)
DEADLY = (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)


class Monkey:
    """Plays one prank at a time, restarts workers that died, wakes those it put to sleep, and keeps a journal."""

    def __init__(self, hosts: list[Host], database: Database, chance: random.Random) -> None:
        self.journal: list[str] = []
        self._hosts = hosts
        self._chance = chance
        self._born = time.monotonic()
        self._asleep: list[tuple[float, list[psutil.Process]]] = []
        self._dead_until: dict[str, float] = {}
        self._database_pranks: list[tuple[float, str, Callable[[], None]]] = [
            (1 / 3, "restarts PostgreSQL", database.restart),
            (2 / 3, "kills PostgreSQL", database.crash),
        ]
        self._pranks: list[Callable[[Host], None]] = [
            self.kill_the_supervisor,
            self.kill_a_lane,
            self.kill_a_sentinel,
            self.kill_one_of_the_pool,
            self.kill_one_of_the_pool,
            self.kill_one_of_the_pool,
            self.suspend_one_process,
            self.suspend_one_process,
            self.suspend_the_whole_host,
        ]

    def play(self) -> None:
        """One prank on one host; the others are looked after."""
        self.look_after()
        victim = self._chance.choice(self._hosts)
        prank = self._chance.choice(self._pranks)
        if victim.alive:
            prank(victim)

    def disturb_the_database(self, *, done: float) -> None:
        """A third of the way through PostgreSQL is restarted, after two thirds it is killed."""
        if self._database_pranks and self._database_pranks[0][0] < done:
            _, name, prank = self._database_pranks.pop(0)
            self._note(name)
            prank()

    def look_after(self) -> None:
        """Wake who has slept enough, start again who has been dead for a moment."""
        now = time.monotonic()
        for awake_at, processes in list(self._asleep):
            if awake_at <= now:
                self._asleep.remove((awake_at, processes))
                _send(processes, signal.SIGCONT)
        for host in self._hosts:
            if not host.alive and now >= self._dead_until.setdefault(host.name, now + self._chance.uniform(0.1, 2)):
                del self._dead_until[host.name]
                self._note(f"starts {host.name}")
                host.start()

    def go_home(self) -> None:
        """Wake all, and start again all that are dead."""
        for _, processes in self._asleep:
            _send(processes, signal.SIGCONT)
        self._asleep.clear()
        self._dead_until = dict.fromkeys(self._dead_until, 0.0)
        self.look_after()

    def kill_the_supervisor(self, host: Host) -> None:
        """The worker's main process, by any of the signals."""
        self._kill(host, Role.SUPERVISOR, self._chance.choice(DEADLY))

    def kill_a_lane(self, host: Host) -> None:
        """The main process of one of the two clusters, by any of the signals."""
        self._kill(host, Role.LANE, self._chance.choice(DEADLY))

    def kill_a_sentinel(self, host: Host) -> None:
        """The guard of a cluster."""
        self._kill(host, Role.SENTINEL, self._chance.choice(DEADLY))

    def kill_one_of_the_pool(self, host: Host) -> None:
        """A pusher, a monitor, or a process with or without a task."""
        self._kill(host, Role.POOL, self._chance.choice(DEADLY))

    def suspend_one_process(self, host: Host) -> None:
        """Any process of the host, for less or more than a lease."""
        processes = host.tree()
        if processes:
            self._suspend(host, [self._chance.choice(processes)], self._chance.choice([SHORT, LONGER_THAN_A_LEASE]))

    def suspend_the_whole_host(self, host: Host) -> None:
        """All its processes, as a laptop does when its lid is shut, for longer than a lease."""
        self._suspend(host, host.tree(), LONGER_THAN_A_LEASE)

    def _kill(self, host: Host, role: Role, signum: signal.Signals) -> None:
        if candidates := host.processes(role):
            victim = self._chance.choice(candidates)
            self._note(f"sends {signum.name} to {role.name} {victim.pid} of {host.name}")
            _send([victim], signum)

    def _suspend(self, host: Host, processes: list[psutil.Process], span: tuple[float, float]) -> None:
        seconds = self._chance.uniform(*span)
        self._note(f"suspends {[process.pid for process in processes]} of {host.name} for {seconds:.1f} s")
        _send(processes, signal.SIGSTOP)
        self._asleep.append((time.monotonic() + seconds, processes))

    def _note(self, what: str) -> None:
        self.journal.append(f"{time.monotonic() - self._born:6.1f} s {time.strftime('%X')}: {what}")


def _send(processes: list[psutil.Process], signum: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signum)
