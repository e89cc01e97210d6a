"""How fast is the queue? `python -m benchmarks.queue --help`; `make bench-queue`.

Our way and the peers' on the same work, on one embedded PostgreSQL (synchronous_commit on), each in a database of its
own, in turn (A B C A B C …). Printed are medians and ratios; `--json FILE` keeps every value.
"""

from __future__ import annotations

import sys

if not __package__:  # run by its path, this folder would hide the standard library's `queue`
    sys.exit("Run it as a module: python -m benchmarks.queue")

import argparse
from pathlib import Path

from rich.console import Console

from benchmarks.aims import Aim
from benchmarks.queues import history, throughput, wakeup
from benchmarks.queues.contenders import Contender, django_q, ours, procrastinate
from benchmarks.queues.report import Report
from benchmarks.queues.server import Server

SECTIONS = ("enqueue", "functions", "workers", "wake", "history")


def main() -> int:
    """The command line. Returns 1 when an aim was missed."""
    options = parse()
    console = Console(width=120)
    report = Report()
    with Server() as server:
        contenders = [ours()] if options.alone else [ours(), *peers(options.concurrency)]
        for contender in contenders:
            contender.set_up(server)
        measure(report, server, contenders, options, console)
    judge(report, options.sizes, alone=options.alone)
    report.show(console)
    if options.json:
        report.write(options.json, {name: value for name, value in vars(options).items() if name != "json"})
    return 0 if all(aim.met for aim in report.aims) else 1


def measure(
    report: Report, server: Server, contenders: list[Contender], options: argparse.Namespace, console: Console
) -> None:
    """All sections that are asked for, round by round."""
    if "history" in options.sections:
        console.print(f"Filling databases with {', '.join(map(str, options.sizes))} rows…")
        with history.aged_databases(server, contenders[0], options.sizes) as databases:
            for turn in range(options.rounds):
                console.print(f"history, round {turn + 1}")
                for aged in databases:
                    history.one_turn(report, aged, options.times)
    for turn in range(options.rounds):
        console.print(f"round {turn + 1} of {options.rounds}")
        one_round(report, server, contenders, options)


def one_round(report: Report, server: Server, contenders: list[Contender], options: argparse.Namespace) -> None:
    """Every contender's turn at all that is asked for."""
    one_each = [contender for contender in contenders if not contender.is_variant]
    if "enqueue" in options.sections:
        throughput.enqueue(report, server, one_each, options.seconds)
    if "functions" in options.sections:
        throughput.functions(report, server, one_each, options.processes, options.seconds)
    if "workers" in options.sections:
        for processes in options.processes:
            for contender in contenders:
                throughput.workers(report, server, contender, processes, options.seconds)
    if "wake" in options.sections:
        for contender in one_each:
            wakeup.wake_up(report, contender, options.times)


def peers(concurrency: int) -> list[Contender]:
    """procrastinate with one job at a time in a process and with several, and django-q2."""
    narrow, wide = procrastinate(1), procrastinate(concurrency)
    narrow.key, narrow.is_variant = "procrastinate_1", True
    return [narrow, wide, django_q()]


def judge(report: Report, sizes: list[int], *, alone: bool) -> None:
    """Hold the figures against what was aimed at."""
    if report.has(throughput.WORKERS):
        best = report.best(throughput.WORKERS, "Reelkeep")
        for peer, wanted in () if alone else (("procrastinate", 2.0), ("django-q2 ORM", 4.0)):
            text = f"worker to worker, best of Reelkeep / best of {peer}"
            report.aims.append(Aim(text, best / report.best(throughput.WORKERS, peer), wanted))
    if report.has(wakeup.WAKE_UP):
        value = report.median(wakeup.WAKE_UP, "Reelkeep", "p99")
        report.aims.append(Aim("wake-up p99, ms", value, 50.0, at_most=True))
    if report.has(history.HISTORY):
        few, many = history.name_of(min(sizes)), history.name_of(max(sizes))
        for what in ("claim p50", "GET /status p50"):
            value = report.median(history.HISTORY, many, what) / report.median(history.HISTORY, few, what)
            report.aims.append(Aim(f"{what} at {many} rows / at {few}", value, 1.5, at_most=True))


def parse() -> argparse.Namespace:
    """The options; `--quick` sets small defaults for what isn't given."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queue", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one short round, small tables: under a minute")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--alone", action="store_true", help="without the peers")
    parser.add_argument("--rounds", type=int, help="turns of each (3)")
    parser.add_argument("--seconds", type=float, help="length of one measurement of throughput (3)")
    parser.add_argument("--times", type=int, help="repetitions of one measurement of latency (200)")
    parser.add_argument("--processes", type=int, nargs="+", help="worker processes (1 2 8)")
    parser.add_argument("--sizes", type=int, nargs="+", help="finished rows (1000 100000 1000000 5000000)")
    parser.add_argument("--concurrency", type=int, default=10, help="procrastinate's jobs at once in a process (10)")
    parser.add_argument("--json", type=Path, help="write all values there")
    options = parser.parse_args()
    full = {
        "rounds": 3,
        "seconds": 3.0,
        "times": 200,
        "processes": [1, 2, 8],
        "sizes": [10**3, 10**5, 10**6, 5 * 10**6],
    }
    quick = {"rounds": 1, "seconds": 0.5, "times": 10, "processes": [2], "sizes": [10**3, 10**5]}
    for name, value in (quick if options.quick else full).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


if __name__ == "__main__":
    sys.exit(main())
