"""How fast is a download? `python -m benchmarks.download --help`; `make bench-download`.

Our way and the peers' from one throttled origin on loopback, in turn (A B C A B C …), each turn in a fresh process and
from a fresh origin. Printed are medians and ratios; `--json FILE` keeps every value.
"""

from __future__ import annotations

import sys

if not __package__:  # run by its path, this folder would hide the standard library's `queue`
    sys.exit("Run it as a module: python -m benchmarks.download")

import argparse
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from benchmarks.downloads.contenders import OURS, ours
from benchmarks.downloads.honesty import check_origin
from benchmarks.downloads.material import SEGMENT_BYTES, Material
from benchmarks.downloads.report import Report
from benchmarks.downloads.resume import kill_and_resume
from benchmarks.downloads.scenarios import SECTIONS, Scenario, scenarios
from benchmarks.downloads.turns import one_turn
from queue_app.media.ffmpeg import find_tools

CHOICES = (*SECTIONS, "resume")
DEFAULT = [section for section in CHOICES if section != "variants"]
MOST_MEMORY = 150_000_000


def main() -> int:
    """The command line. Returns 1 when an aim was missed or the origin's throttle isn't real."""
    options = parse()
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(128 + signal.SIGTERM))  # end in order, leave nothing
    console = Console(width=120)
    report = Report()
    with material_for(options, console) as material:
        honest = options.unchecked or check_origin(material, console, 2.0 if options.quick else 10.0)
        for turn in range(options.rounds):
            console.print(f"round {turn + 1} of {options.rounds}")
            for scenario in scenarios(options.only, material, find_tools()):
                one_round(report, scenario, material, console)
        if "resume" in options.only:
            resume(report, material, options, console)
    judge(report)
    report.show(console)
    if options.json:
        report.write(options.json, {name: value for name, value in vars(options).items() if name != "json"})
    return 0 if honest and all(aim.met for aim in report.aims) else 1


@contextmanager
def material_for(options: argparse.Namespace, console: Console) -> Iterator[Material]:
    """What is served, in a temporary folder that is gone afterwards with all that the contenders left in it."""
    folder = Path(tempfile.mkdtemp(prefix="reelkeep-bench-"))
    try:
        console.print(f"Making a file of {options.file_mb} MB and a stream of {options.segments} segments…")
        material = Material(folder, find_tools(), file_bytes=options.file_mb * 10**6, segments=options.segments)
        material.make(encrypted="variants" in options.only)
        yield material
    finally:
        shutil.rmtree(folder)


def one_round(report: Report, scenario: Scenario, material: Material, console: Console) -> None:
    """Every contender's turn at the scenario."""
    result = report.result(scenario)
    for contender in scenario.contenders:
        if contender.missing:
            result.missing[contender.name] = contender.missing
            continue
        run = one_turn(scenario, contender, material)
        result.add(contender.name, run)
        said = run.problem or f"{run.usage.wall:.2f} s"
        console.print(f"  {scenario.title}, {contender.name}: {said}", markup=False, highlight=False)


def resume(report: Report, material: Material, options: argparse.Namespace, console: Console) -> None:
    """Kill ours at several places, in a file and in a stream."""
    for scenario in scenarios(["direct", "hls"], material, find_tools()):
        if scenario.key not in {"direct", "hls-8"}:
            continue
        unit = options.piece_mib * 1024 * 1024 if scenario.key == "direct" else SEGMENT_BYTES
        for share in options.shares:
            resumed = kill_and_resume(scenario, ours(scenario.connections), material, share, unit)
            report.resumed.append(resumed)
            said = resumed.problem or f"{resumed.pieces:.2f} pieces fetched twice"
            console.print(f"  {scenario.title}, killed at {share:.0%}: {said}", markup=False, highlight=False)


def judge(report: Report) -> None:
    """Hold the figures against what was aimed at."""
    results = report.results
    if direct := results.get("direct"):
        report.aim("direct, wall / aria2c's", direct.wall(OURS), direct.wall("aria2c"), 1.0)
        report.aim("direct, wall / the link's limit", direct.wall(OURS), direct.scenario.limit, 1.05)
    for key, result in results.items():
        if key.startswith("flaky-"):
            report.aim(
                f"{result.scenario.title}, wall / aria2c -m0's", result.wall(OURS), result.wall("aria2c -m0"), 0.9
            )
    for connections in (8, 16):
        if hls := results.get(f"hls-{connections}"):
            peer, ffmpeg = f"yt-dlp -N{connections}", results["hls-8"].wall("ffmpeg")
            report.aim(f"HLS, wall / {peer}'s", hls.wall(OURS), hls.wall(peer), 0.75)
            report.aim(f"HLS, wall at {connections} / ffmpeg's", hls.wall(OURS), ffmpeg, 0.3)
    runs = [run for result in results.values() for run in result.runs.get(OURS, []) if not run.problem]
    if runs:
        report.aim("the most memory, in 150 MB", max(run.usage.peak_bytes for run in runs), MOST_MEMORY, 1.0)
    for one in report.resumed:
        pieces = None if one.problem else one.pieces
        report.aim(f"{one.what}, killed at {one.share:.0%}, pieces fetched twice a connection", pieces, 8, 1.0)


def parse() -> argparse.Namespace:
    """The options; `--quick` sets small defaults for what isn't given."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.download", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one round, a tenth of the size or less")
    parser.add_argument("--only", nargs="+", choices=CHOICES, default=DEFAULT, help="(all but variants)")
    parser.add_argument("--rounds", type=int, help="turns of each (3)")
    parser.add_argument("--file-mb", type=int, help="size of the file (400)")
    parser.add_argument("--segments", type=int, help="segments of the stream, 500 KB each (600)")
    parser.add_argument("--shares", type=float, nargs="+", help="where `resume` kills (0.3 0.6 0.9)")
    parser.add_argument("--piece-mib", type=int, default=8, help="unit in which `resume` counts for the file (8)")
    parser.add_argument("--unchecked", action="store_true", help="don't check the origin's throttle first")
    parser.add_argument("--json", type=Path, help="write all values there")
    options = parser.parse_args()
    full = {"rounds": 3, "file_mb": 400, "segments": 600, "shares": [0.3, 0.6, 0.9]}
    quick = {"rounds": 1, "file_mb": 12, "segments": 20, "shares": [0.6]}
    for name, value in (quick if options.quick else full).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    if options.file_mb * 10**6 < 0.55 * options.segments * SEGMENT_BYTES:
        parser.error("The file holds the stream's video: give it at least 0.6 MB for each segment.")
    return options


if __name__ == "__main__":
    sys.exit(main())
