"""Files that list videos: CSV with a header row, or JSON Lines. Read line by line, however long they are."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

CSV, JSONL = "csv", "jsonl"
EXTENSIONS = {".csv": CSV, ".jsonl": JSONL, ".ndjson": JSONL}
REQUIRED = ("mal_id", "episode", "provider", "video_url")
OPTIONAL = ("resolution", "priority", "page_url", "mirrors")
LINE_BYTES = 64 * 1024


class FileRefused(Exception):
    """The file as a whole can't be read; the text says what to do."""


@dataclass(frozen=True)
class Line:
    """One video of a file. `item` is None where `fault` says why there is nothing to look at."""

    number: int
    item: Any = None
    fault: str = ""


def read_videos(file: BinaryIO, form: str) -> Iterator[Line]:
    """Each line that isn't blank. Raises FileRefused."""
    return _read_csv(file) if form == CSV else _read_json_lines(file)


def _read_json_lines(file: BinaryIO) -> Iterator[Line]:
    for number, text in enumerate(_lines(file), start=1):
        if text.strip():
            yield _parse(number, text)


def _parse(number: int, text: str) -> Line:
    try:
        return Line(number, json.loads(text))
    except json.JSONDecodeError as error:
        return Line(number, fault=f"Not JSON: {error.msg} at column {error.colno}.")
    except (ValueError, RecursionError):
        return Line(number, fault="Not JSON that can be read: it is nested too deeply or a number is too long.")


def _read_csv(file: BinaryIO) -> Iterator[Line]:
    reader = csv.reader(_lines(file))
    header = _header(reader)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Line(reader.line_num, fault=f"Not CSV: {error}. Is a quotation mark left open?")
            continue
        if any(cell.strip() for cell in row):
            yield _row(reader.line_num, header, row)


def _header(reader: Any) -> list[str]:
    try:
        header = [name.strip().lower() for name in next((row for row in reader if any(row)), [])]
    except csv.Error as error:
        raise FileRefused(f"Line {reader.line_num} is not CSV: {error}.") from None
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        wanted = ",".join((*REQUIRED, *OPTIONAL))
        raise FileRefused(
            f"The header row lacks {', '.join(missing)}. It must name {wanted} (the last four may be left out), "
            "separated by commas."
        )
    if twice := sorted({name for name in header if name and header.count(name) > 1}):
        raise FileRefused(f"The header row names {', '.join(twice)} more than once.")
    return header


def _row(number: int, header: list[str], row: list[str]) -> Line:
    if len(row) != len(header):
        return Line(number, fault=f"Has {len(row)} fields where the header has {len(header)}.")
    cells = dict(zip(header, row, strict=True))
    # A cell can't say "nothing" in any other way than by being empty.
    return Line(number, {name: cells[name] for name in cells if name not in OPTIONAL or cells[name]})


def _lines(file: BinaryIO) -> Iterator[str]:
    number = 0
    while line := file.readline(LINE_BYTES + 1):
        number += 1
        if len(line) > LINE_BYTES:
            raise FileRefused(f"Line {number} is longer than {LINE_BYTES} bytes. Is this a list of videos, as text?")
        # Bytes that aren't UTF-8 become surrogates, which no field takes: so the error names the line and the field.
        text = line.decode("utf-8-sig" if number == 1 else "utf-8", errors="surrogateescape")
        yield text.rstrip("\r\n") + "\n"
