"""How fast are copies? `python -m benchmarks.upload --help`; `make bench-upload`.

Our way and the peers' to the same accounts on loopback, in turn (A B C A B C …), each turn in a fresh process and to
fresh accounts. Printed are medians and ratios; `--json FILE` keeps every value.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.aims import Aim, machine
from benchmarks.uploads.places import s3_missing
from benchmarks.uploads.turns import AWS, OURS, SCENARIOS, Run, Scenario, one_turn
from tests.servers.rgw import Rgw

Runs = dict[str, dict[str, list[Run]]]
"""By scenario and contender."""
_BLOCK = 16 * 1024 * 1024
_MB = 1e6


def main() -> int:
    """The command line. Returns 1 when an aim was missed."""
    options = parse()
    console, runs = Console(width=120), Runs()
    folder = Path(tempfile.mkdtemp(prefix="reelkeep-bench-"))
    load = os.getloadavg()[0]
    try:
        with ExitStack() as stack:
            chosen = [scenario for scenario in SCENARIOS if scenario.key in options.only]
            server = stack.enter_context(Rgw()) if any(s.s3 for s in chosen) and can_do_s3(console) else None
            chosen = [scenario for scenario in chosen if server or not scenario.s3]
            file, sha256 = make_file(folder / "video.mp4", options.file_mb * 10**6)
            for number in range(options.rounds):
                console.print(f"round {number + 1} of {options.rounds}")
                for scenario in chosen:
                    one_round(runs, scenario, file, sha256, server, console)
    finally:
        shutil.rmtree(folder)
    aims = judge(runs, options.file_mb * 10**6)
    for scenario in chosen:
        show(console, scenario, runs[scenario.key])
    for aim in aims:
        console.print(str(aim), highlight=False)
    console.print(f"Load average {load:.1f} at the start, {os.getloadavg()[0]:.1f} at the end.")
    if options.json:
        write(options.json, runs, aims, options)
    return 0 if all(aim.met for aim in aims) else 1


def can_do_s3(console: Console) -> bool:
    """Say what is missing."""
    if missing := s3_missing():
        console.print(f"S3 is left out: install {missing} (`make .venv/s3server.ok`).")
    elif not AWS.exists():
        console.print(f"S3 is left out: {AWS} is missing (`make bench-upload`).")
    else:
        return True
    return False


def make_file(path: Path, size: int) -> tuple[Path, str]:
    """Random bytes, as a video's are to whoever would pack them."""
    digest, left = hashlib.sha256(), size
    with path.open("wb") as file:
        while left:
            block = os.urandom(min(_BLOCK, left))
            file.write(block)
            digest.update(block)
            left -= len(block)
    return path, digest.hexdigest()


def one_round(runs: Runs, scenario: Scenario, file: Path, sha256: str, server: Rgw | None, console: Console) -> None:
    """Every contender's turn at the scenario."""
    for contender in scenario.contenders:
        run = one_turn(scenario, contender, file, sha256, server)
        runs.setdefault(scenario.key, {}).setdefault(contender.name, []).append(run)
        said = run.problem or f"{run.usage.wall:.2f} s, {run.after:.2f} s after the last byte"
        console.print(f"  {scenario.title}, {contender.name}: {said}", markup=False, highlight=False)


def of(found: list[Run], what: Callable[[Run], float]) -> float | None:
    """Median over the runs whose copies were right; None when there is none."""
    values = [what(run) for run in found if not run.problem]
    return median(values) if values else None


def judge(runs: Runs, size: int) -> list[Aim]:
    """Hold the figures against what was aimed at. A scenario without right results on both sides is left out."""
    aims: list[Aim] = []

    def aim(
        text: str, key: str, peer: str | None, what: Callable[[Run], float], wanted: float, unit: float = 1
    ) -> None:
        ours = of(runs.get(key, {}).get(OURS, []), what)
        other = unit if peer is None else of(runs.get(key, {}).get(peer, []), what)
        if ours is not None and other:
            aims.append(Aim(text, ours / other, wanted, at_most=True))

    loop, aws = "upload_file ×5, LFS", "aws s3 cp, cp"
    aim("Hub, after the last byte / upload_file's in a loop", "hub", loop, lambda run: run.after, 0.35)
    aim("Hub while it comes in, the same", "hub-download", loop, lambda run: run.after, 0.35)
    aim("Hub, bytes sent / one copy", "hub", None, lambda run: run.sent, 1.2, size)
    aim("Hub, peak memory in 500 MB", "hub", None, lambda run: run.usage.peak_bytes, 1.0, 500e6)
    aim("S3, after the last byte / aws-cli's", "s3", aws, lambda run: run.after, 1.0)
    aim("S3, CPU / aws-cli's", "s3", aws, lambda run: run.usage.cpu, 1.0)
    aim("S3 while it comes in, after the last byte / aws-cli's", "s3-download", aws, lambda run: run.after, 1.0)
    return aims


def show(console: Console, scenario: Scenario, found: dict[str, list[Run]]) -> None:
    """A table."""
    table = Table(title=scenario.title, title_justify="left")
    for name in ("", "wall s", "after the last byte s", "CPU s", "peak MB", "sent MB", "right"):
        table.add_column(name, justify="right" if name else "left")
    for contender, its in found.items():
        columns: tuple[tuple[Callable[[Run], float], str], ...] = (
            (lambda run: run.usage.wall, ".2f"),
            (lambda run: run.after, ".2f"),
            (lambda run: run.usage.cpu, ".2f"),
            (lambda run: run.usage.peak_bytes / _MB, ".0f"),
            (lambda run: run.sent / _MB, ".0f"),
        )
        values = [(of(its, what), digits) for what, digits in columns]
        cells = ["–" if value is None else format(value, digits) for value, digits in values]
        right = sum(not run.problem for run in its)
        table.add_row(contender, *cells, "yes" if right == len(its) else f"{right} of {len(its)}")
    console.print(table)


def write(path: Path, runs: Runs, aims: list[Aim], options: argparse.Namespace) -> None:
    """Every value, and where it was measured."""
    found = {
        "machine": machine(),
        "parameters": {name: value for name, value in vars(options).items() if name != "json"},
        "runs": {key: {name: [asdict(run) for run in its] for name, its in by.items()} for key, by in runs.items()},
        "aims": [{**asdict(aim), "met": aim.met} for aim in aims],
    }
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def parse() -> argparse.Namespace:
    """The options; `--quick` sets small defaults for what isn't given."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.upload", description=(__doc__ or "").split("\n")[0])
    keys = [scenario.key for scenario in SCENARIOS]
    parser.add_argument("--quick", action="store_true", help="one round, 50 MB")
    parser.add_argument("--only", nargs="+", choices=keys, default=keys, help="(all)")
    parser.add_argument("--rounds", type=int, help="turns of each (3)")
    parser.add_argument("--file-mb", type=int, help="size of the file (1000)")
    parser.add_argument("--json", type=Path, help="write all values there")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.file_mb = options.file_mb or (50 if options.quick else 1000)
    return options


if __name__ == "__main__":
    sys.exit(main())
