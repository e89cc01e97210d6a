"""Which video each file of a folder is: by a pattern of its path, by a list, or by the manifest beside it."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage_app import key_rules
from storage_app.manifest import ManifestRefused, parse
from storage_app.manifest_format import MAX_BYTES, FileEntry
from storage_app.naming import VideoKey

SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".ts", ".m2ts", ".avi", ".flv", ".mpg", ".mpeg", ".ogv"})
DEFAULT_PATTERN = "{mal_id}/ep{episode}/{title}"
COLUMNS = ("file", "mal_id", "episode", "provider")
MORE_COLUMNS = ("resolution", "title")
_FIELDS = {
    "mal_id": r"[0-9]+",
    "episode": r"[0-9]+",
    "provider": r"[^/]+?",
    "resolution": r"[0-9A-Za-z._-]+?",
    "title": r"[^/]+?",
    "any": r".*?",
}


class NotUnderstood(Exception):
    """The pattern, or the list as a whole, can't be used. The text says what to do."""


@dataclass(frozen=True)
class Candidate:
    """A file that may be a video, relative to its folder. `fault` says why it can't be taken; `expected` is what a
    manifest beside it says of its content."""

    path: Path
    name: str
    key: VideoKey | None = None
    title: str = ""
    expected: FileEntry | None = None
    fault: str = ""


def by_pattern(folder: Path, pattern: str, defaults: Mapping[str, str]) -> Iterator[Candidate]:
    """Each video file of the folder, in the order of their names.

    A manifest beside a file, of the same name with the suffix .json, comes before the pattern; another program's file
    of that name doesn't count. `defaults` are provider
    and resolution where the pattern doesn't tell them. Raises NotUnderstood.
    """
    wanted = _compile(pattern)
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or path.is_symlink() or not path.is_file() or _is_hidden(path, folder):
            continue
        name = path.relative_to(folder).as_posix()
        if described := _by_manifest(path, name):
            yield described
        elif found := wanted.fullmatch(name[: -len(path.suffix)]):
            yield _named(path, name, {**defaults, **found.groupdict()})
        else:
            yield Candidate(path, name, fault=f"Its path does not fit the pattern {pattern}.")


def by_list(folder: Path, listing: Path, defaults: Mapping[str, str]) -> Iterator[Candidate]:
    """Each file that a CSV list names, with a header row. Raises NotUnderstood and OSError."""
    with listing.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, strict=True)
        if missing := [name for name in COLUMNS if name not in (rows.fieldnames or ()) and name not in defaults]:
            raise NotUnderstood(
                f"The header row lacks {', '.join(missing)}. It names {', '.join(COLUMNS)}, and if wanted "
                f"{' and '.join(MORE_COLUMNS)}."
            )
        try:
            for row in rows:
                yield _listed(folder, row, defaults)
        except (csv.Error, UnicodeDecodeError) as error:
            raise NotUnderstood(f"Line {rows.line_num} can't be read: {error}.") from None


def _compile(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"\{([a-z_]*)\}", pattern)
    names = parts[1::2]
    if odd := [name for name in names if name not in _FIELDS]:
        raise NotUnderstood(f"The pattern knows {', '.join(_FIELDS)}, but not {', '.join(odd)}.")
    if twice := {name for name in names if name != "any" and names.count(name) > 1}:
        raise NotUnderstood(f"The pattern names {', '.join(sorted(twice))} more than once.")
    if missing := {"mal_id", "episode"} - set(names):
        raise NotUnderstood(f"The pattern must name {' and '.join(sorted(missing))} in curly brackets.")
    expression = re.escape(parts[0])
    for name, literal in zip(names, parts[2::2], strict=True):
        group = f"(?:{_FIELDS[name]})" if name == "any" else f"(?P<{name}>{_FIELDS[name]})"
        expression += group + re.escape(literal)
    return re.compile(expression)


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _named(path: Path, name: str, said: Mapping[str, Any]) -> Candidate:
    key, fault = _key_of(said)
    return Candidate(path, name, key, said.get("title") or "", fault=fault)


def _key_of(said: Mapping[str, Any]) -> tuple[VideoKey | None, str]:
    rules = {
        "mal_id": key_rules.work_id,
        "episode": key_rules.episode_number,
        "provider": key_rules.provider_name,
        "resolution": key_rules.resolution_name,
    }
    values: dict[str, Any] = {}
    for field, rule in rules.items():
        try:
            values[field] = rule(said.get(field))
        except ValueError as error:
            return None, f"{field}: {error}"
    return VideoKey(**values), ""


def _by_manifest(path: Path, name: str) -> Candidate | None:
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return None
    try:
        with beside.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if not _is_ours(data):
            return None
        manifest = parse(data)
    except (OSError, ManifestRefused) as error:
        return Candidate(path, name, fault=f"The manifest beside it can't be used: {error}")
    return Candidate(path, name, manifest.key, manifest.title, manifest.file)


def _is_ours(data: bytes) -> bool:
    """Does it mean to be a manifest, of whatever schema?"""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and isinstance(said.get("schema"), int) and {"key", "file"} <= said.keys()


def _listed(folder: Path, row: Mapping[str, str | None], defaults: Mapping[str, str]) -> Candidate:
    name = (row.get("file") or "").strip()
    path = folder / name
    root = folder.resolve()
    if not name or not path.resolve().is_relative_to(root):
        return Candidate(path, name or "(no name)", fault="It does not lie in the folder.")
    if not path.is_file():
        return Candidate(path, name, fault="There is no such file.")
    return _named(path, name, {**defaults, **{field: value for field, value in row.items() if value}})
