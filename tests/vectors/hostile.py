"""Playlists made to cost time or memory, by their size in bytes."""

from __future__ import annotations

from collections.abc import Callable

from storage_app.playback.playlists import MAX_LINES

HEAD = "#EXTM3U\n"
KEY = "#EXT-X-KEY:"


def _repeated(before: str, unit: str, after: str = "") -> Callable[[int], str]:
    return lambda size: HEAD + before + unit * (size // len(unit)) + after


def _lines(unit: str) -> Callable[[int], str]:
    return lambda size: HEAD + unit * min(size // len(unit), MAX_LINES // 3)


HOSTILE: dict[str, Callable[[int], str]] = {
    "one long name": _repeated("", "a"),
    "one long run of blanks": _repeated("a", " ", "b"),
    "blanks in front of a tag": _repeated("", " ", f'{KEY}URI="k"'),
    "control characters around": _repeated("\x01", " \x02", "x"),
    "quotes": _repeated(f"{KEY}URI=", '"'),
    "opened quotes": _repeated(KEY, 'A="'),
    "commas": _repeated(f"{KEY}URI=", ","),
    "equal signs": _repeated(f"{KEY}URI", "="),
    "attributes": _repeated(KEY, "A=1,", 'URI="k"'),
    "quoted attributes": _repeated(KEY, 'A="1",', 'URI="k'),
    "links in one tag": _repeated(KEY, 'URI="k",'),
    "URI and nothing else": _repeated(KEY, "URI"),
    "blanks in an attribute's name": _repeated(KEY, " ", 'URI = "k"'),
    "blanks in a value": _repeated(f"{KEY}URI=", " ", '"k"x'),
    "slashes": _repeated("", "/"),
    "backslashes": _repeated("https:", "\\"),
    "dots": _repeated("a/", "../", "s.ts"),
    "encoded dots": _repeated("a/", "%2e%2e/", "s.ts"),
    "folders": _repeated("", "a/", "%"),
    "question marks": _repeated("a", "?/"),
    "number signs": _repeated("a", "#"),
    "a scheme without an end": _repeated("", "a+"),
    "at signs": _repeated("https://", "@"),
    "percent signs": _repeated("a/", "%"),
    "bytes": _repeated("", "é", "/x"),
    "tags that almost list variants": _repeated("", " #EXT-X-STREAM-INF:"),
    "carriage returns": _lines("\r"),
    "mixed breaks": _lines("a\r\n\r"),
    "variables in one reference": _repeated('#EXT-X-DEFINE:NAME="a",VALUE="b"\n', "{$a}"),
    "variables that are opened": _repeated('#EXT-X-DEFINE:NAME="a",VALUE="b"\n', "{$"),
    "definitions": lambda size: HEAD + "".join(f'#EXT-X-DEFINE:NAME="v{n}",VALUE="{n}"\n' for n in range(size // 40)),
    "many folders": lambda size: HEAD + "".join(f"{n}/s.ts\n" for n in range(size // 40)),
}

TOO_LARGE: dict[str, tuple[str, str]] = {
    "too many lines": (HEAD + "\n" * MAX_LINES, "https://h.example/i.m3u8"),
    "too many carriage returns": (HEAD + "\r" * MAX_LINES, "https://h.example/i.m3u8"),
    "short names from a long URL": (HEAD + "a\n" * 20_000, f"https://h.example/{'b' * 4000}/i.m3u8"),
    "odd names from a long URL": (HEAD + "%\n" * 20_000, f"https://h.example/{'b' * 4000}/i.m3u8"),
    "long values in short references": (
        f'{HEAD}#EXT-X-DEFINE:NAME="a",VALUE="{"b" * 2000}"\n' + "{$a}\n" * 20_000,
        "https://h.example/i.m3u8",
    ),
    "long values for every variant": (
        f'{HEAD}#EXT-X-DEFINE:NAME="a",VALUE="{"b" * 2000}"\n#EXT-X-STREAM-INF:\n' + "v\n" * 20_000,
        "https://h.example/i.m3u8",
    ),
    "definitions of a long parameter": (
        HEAD + '#EXT-X-DEFINE:QUERYPARAM="a"\n' * 20_000,
        f"https://h.example/i.m3u8?a={'b' * 2000}",
    ),
}
