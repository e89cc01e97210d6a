"""How fast do videos play? `python -m benchmarks.playback --help`; `make bench-playback`.

Each contender on one processor, the origin and the viewers on another, in turn (A B C A B C …). Printed are medians and
ratios; `--json FILE` keeps every value.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.aims import Aim, figure, machine
from benchmarks.playing import nginx
from benchmarks.playing.contenders import (
    ACCEL_PROXY,
    ACCEL_STREAM,
    CONTENDERS,
    MEDIAFLOW_PROXY,
    NGINX_FILE,
    NGINX_PROXY,
    OURS_PROXY,
    OURS_STREAM,
    Contender,
    Scene,
)
from benchmarks.playing.reelkeep import installation
from benchmarks.playing.streaming import RATE, Latency, streaming
from benchmarks.playing.turns import Amounts, Figures, middle, one_turn
from benchmarks.playing.viewers import AnswerError
from benchmarks.upload import make_file

Turns = dict[str, list[Figures]]
"""By contender."""
API = "api"
_SERVER_CORE, _VIEWERS_CORE = 0, 1


def main() -> int:
    """The command line. Returns 1 when an aim was missed."""
    options = parse()
    console, turns, load = Console(width=120), Turns(), os.getloadavg()[0]
    latencies: list[Latency] = []
    if nginx.missing() or (os.cpu_count() or 1) <= _VIEWERS_CORE:
        console.print("It needs nginx as the origin (apt-get install nginx-light) and two processors.")
        return 2
    chosen = [one for one in CONTENDERS if one.key in options.only and is_here(one, console)]
    amounts = Amounts(options.mb * 10**6, options.share_mb * 10**6, options.times)
    with scene(amounts.size) as (place, sha256):
        os.sched_setaffinity(0, {_VIEWERS_CORE})
        for number in range(options.rounds):
            console.print(f"round {number + 1} of {options.rounds}")
            for contender in chosen:
                one(contender, place, amounts, sha256, turns, console)
            if API in options.only:
                ask(place, options.seconds, latencies, console)
    medians = {contender.key: middle(turns[contender.key]) for contender in chosen if turns.get(contender.key)}
    show(console, chosen, medians)
    aims = judge(medians, latencies)
    for aim in aims:
        console.print(str(aim), highlight=False)
    console.print(f"Load average {load:.1f} at the start, {os.getloadavg()[0]:.1f} at the end.")
    if options.json:
        write(options.json, turns, latencies, aims, options)
    return 0 if all(aim.met for aim in aims) else 1


def is_here(contender: Contender, console: Console) -> bool:
    """Say what is missing."""
    if lacks := contender.lacks():
        console.print(f"{contender.name} is left out: {lacks} is missing.", highlight=False)
    return not lacks


@contextmanager
def scene(size: int) -> Iterator[tuple[Scene, str]]:
    """The file with its sha256, the origin and an archive that has it; all gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="reelkeep-bench-"))
    folder.chmod(0o755)
    try:
        (folder / "files").mkdir()
        file, sha256 = make_file(folder / "files" / "video.mp4", size)
        with nginx.files(folder / "origin", file.parent, _VIEWERS_CORE) as origin:
            upstream = f"http://127.0.0.1:{origin.port}/{file.name}"
            with installation(folder / "reelkeep", file, sha256, upstream) as reelkeep:
                yield Scene(folder, file, origin, reelkeep, _SERVER_CORE), sha256
    finally:
        shutil.rmtree(folder)


def one(contender: Contender, place: Scene, amounts: Amounts, sha256: str, turns: Turns, console: Console) -> None:
    """A contender's turn; one that fails is told and doesn't count."""
    try:
        found = one_turn(contender, place, amounts, sha256)
    except (AnswerError, OSError, ValueError, RuntimeError) as error:
        console.print(f"  {contender.name}: {error}", markup=False, highlight=False)
        return
    turns.setdefault(contender.key, []).append(found)
    said = f"{found.rate_many:.0f} MB/s, {found.cpu_many:.2f} CPU s/GB, first byte {found.first:.1f} ms"
    console.print(f"  {contender.name}: {said}", markup=False, highlight=False)


def show(console: Console, chosen: list[Contender], medians: dict[str, Figures]) -> None:
    """The table."""
    table = Table("", "MB/s", "CPU s/GB", "first ms", "50: MB/s", "CPU s/GB", "first ms", "51st ms", title="Playback")
    for column in table.columns[1:]:
        column.justify = "right"
    for contender in chosen:
        if found := medians.get(contender.key):
            table.add_row(contender.name, *(figure(value) for value in asdict(found).values()))
    console.print(table)


def ask(place: Scene, seconds: float, latencies: list[Latency], console: Console) -> None:
    """The streaming API's turn."""
    try:
        found = streaming(place, seconds)
    except (AnswerError, OSError, RuntimeError) as error:
        console.print(f"  streaming API: {error}", markup=False, highlight=False)
        return
    latencies.append(found)
    said = f"p50 {found.p50:.1f} ms, p99 {found.p99:.1f} ms, {found.cpu:.1f} ms of CPU each"
    console.print(f"  streaming API, {RATE} requests/s: {said}", highlight=False)


def judge(medians: dict[str, Figures], latencies: list[Latency]) -> list[Aim]:
    """Hold the figures against what was aimed at. What wasn't measured on both sides is left out."""
    aims: list[Aim] = []

    def aim(text: str, ours: Contender, other: Contender, what: Callable[[Figures], float], wanted: float) -> None:
        mine, theirs = medians.get(ours.key), medians.get(other.key)
        if mine and theirs:
            aims.append(Aim(f"{ours.name} / {other.name}: {text}", what(mine) / what(theirs), wanted, at_most=True))

    aim("CPU s/GB, 50 viewers", OURS_PROXY, MEDIAFLOW_PROXY, lambda found: found.cpu_many, 0.45)
    aim("first byte", OURS_PROXY, MEDIAFLOW_PROXY, lambda found: found.first, 0.15)
    for ours, other in ((OURS_STREAM, NGINX_FILE), (ACCEL_STREAM, NGINX_FILE), (ACCEL_PROXY, NGINX_PROXY)):
        aim("CPU s/GB, one viewer", ours, other, lambda found: found.cpu, 1.2)
        aim("CPU s/GB, 50 viewers", ours, other, lambda found: found.cpu_many, 1.2)
    if latencies:
        slowest = median(found.p99 for found in latencies)
        aims.append(Aim(f"streaming API, {RATE} requests/s, p99 in ms", slowest, 30, at_most=True))
    return aims


def write(path: Path, turns: Turns, latencies: list[Latency], aims: list[Aim], options: argparse.Namespace) -> None:
    """Keep every value."""
    given = {name: value for name, value in vars(options).items() if name != "json"}
    kept = {
        "machine": machine(),
        "options": given,
        "turns": {key: [asdict(turn) for turn in found] for key, found in turns.items()},
        "streaming_api": [asdict(found) for found in latencies],
        "aims": [asdict(aim) | {"met": aim.met} for aim in aims],
    }
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def parse() -> argparse.Namespace:
    """The options; `--quick` sets small defaults for what isn't given."""
    names = [*(contender.key for contender in CONTENDERS), API]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.playback", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one short round: about a minute")
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--rounds", type=int, help="turns of each (3)")
    parser.add_argument("--mb", type=int, help="size of the file (500)")
    parser.add_argument("--share-mb", type=int, help="what each of 50 viewers takes (40)")
    parser.add_argument("--times", type=int, help="first bytes looked at (40)")
    parser.add_argument("--seconds", type=float, help="how long the streaming API is asked (20)")
    parser.add_argument("--json", type=Path, help="write all values there")
    options = parser.parse_args()
    full, quick = (
        {"rounds": 3, "mb": 500, "share_mb": 40, "times": 40, "seconds": 20.0},
        {"rounds": 1, "mb": 200, "share_mb": 8, "times": 10, "seconds": 4.0},
    )
    for name, value in (quick if options.quick else full).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


if __name__ == "__main__":
    sys.exit(main())
