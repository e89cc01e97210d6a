"""Reading a manifest that may have been written by anybody."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.utils.timezone import now

from storage_app import key_rules
from storage_app.manifest_format import MAX_BYTES, PLAIN_URL, SCHEMA, FileEntry, Manifest, Primary, SidecarEntry
from storage_app.models import SidecarKind
from storage_app.naming import VideoKey

T = TypeVar("T")

_DEPTH = 32
_PATH_LENGTH = 1024
_URL_LENGTH = 8192
_TEXT_LENGTH = 100_000
_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FILE_KEY = re.compile(r"[0-9A-Za-z_-]{1,64}")
_VIDEO = re.compile(r"video/[a-z0-9.+-]{1,80}")
_BESIDE = frozenset({"image/jpeg", "image/png", "image/webp", "text/vtt", "text/vtt; charset=utf-8"})
_CLOCKS = timedelta(days=1)
"""So far another host's clock may be ahead. What is archived later than now would win over all that is true."""
_FIELDS = frozenset(
    "schema revision archived_at key file_key title stream_url primary file sidecars source".split()  # noqa: SIM905
)
_FILE_FIELDS = frozenset({"repo", "path", "sha256", "size", "content_type"})


class ManifestRefused(ValueError):
    """This is no manifest that can be used. The text says why, for operators."""


def parse(data: bytes) -> Manifest:
    """The manifest that these bytes spell. Raises ManifestRefused.

    Whatever passes fits the columns of the tables, and names no place outside of an account.
    """
    said = _object(_decode(data), None, "manifest")
    if (schema := said.get("schema")) != SCHEMA or isinstance(schema, bool):
        raise ManifestRefused(_other_schema(schema))
    said = _object(said, _FIELDS, "manifest")
    primary = _object(said["primary"], frozenset("account kind username repo path direct_url".split()), "primary")  # noqa: SIM905
    file = _object(said["file"], _FILE_FIELDS | {"duration", "media", "proof"}, "file")
    manifest = Manifest(
        key=_key(said["key"]),
        file_key=_matching(said["file_key"], _FILE_KEY, "file_key"),
        title=_text(said["title"], "title", _TEXT_LENGTH),
        archived_at=_time(said["archived_at"]),
        primary=Primary(
            account=_whole(primary["account"], "primary.account", 0, 2**31 - 1),
            kind=_text(primary["kind"], "primary.kind", 20),
            username=_text(primary["username"], "primary.username", 100),
            repo=_text(primary["repo"], "primary.repo", 400),
            path=_path(primary["path"], "primary.path"),
            direct_url=_url(primary["direct_url"], "primary.direct_url"),
        ),
        stream_url=_url(said["stream_url"], "stream_url"),
        file=_file(file, "file", _matching(file["content_type"], _VIDEO, "file.content_type")),
        duration=_duration(file["duration"]),
        media=_object(file["media"], None, "file.media"),
        proof=None if file["proof"] is None else _object(file["proof"], None, "file.proof"),
        sidecars=tuple(_sidecar(one, f"sidecars[{number}]") for number, one in enumerate(_list(said["sidecars"]))),
        source=_source(said["source"]),
        revision=_whole(said["revision"], "revision", 1, 2**31 - 1),
    )
    if len({sidecar.file for sidecar in manifest.sidecars}) < len(manifest.sidecars):
        raise ManifestRefused("sidecars: names one file more than once.")
    return manifest


def _decode(data: bytes) -> Any:
    if len(data) > MAX_BYTES:
        raise ManifestRefused(f"It has {len(data)} bytes; a manifest has at most {MAX_BYTES}.")
    try:
        said = json.loads(
            data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_number, parse_float=_finite
        )
    except UnicodeDecodeError:
        raise ManifestRefused("It is not UTF-8 text.") from None
    except json.JSONDecodeError as error:
        raise ManifestRefused(f"It is not JSON: {error.msg} at character {error.pos}.") from None
    except RecursionError:
        raise ManifestRefused("It is nested too deeply.") from None
    except ValueError as error:
        raise ManifestRefused(f"It is not JSON that can be used: {error}") from None
    _check_texts(said, _DEPTH)
    return said


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError("an object has the same name twice.")
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number.")


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError("a number is too large.")
    return value


def _check_texts(value: Any, depth: int) -> None:
    """No text that a column of PostgreSQL doesn't take, wherever it stands."""
    if depth == 0:
        raise ManifestRefused("It is nested too deeply.")
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise ManifestRefused("A text holds a NUL or half a character.")
    elif isinstance(value, dict):
        for name, part in value.items():
            _check_texts(name, depth - 1)
            _check_texts(part, depth - 1)
    elif isinstance(value, list):
        for part in value:
            _check_texts(part, depth - 1)


def _other_schema(schema: Any) -> str:
    if isinstance(schema, int) and not isinstance(schema, bool) and schema > SCHEMA:
        return (
            f"It is of schema {schema}, written by a newer Reelkeep; this one reads schema {SCHEMA}. "
            "Update Reelkeep and run this again."
        )
    return f"It doesn't say that it is a manifest of schema {SCHEMA}."


def _object(value: Any, fields: frozenset[str] | None, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ManifestRefused(f"{what}: must be an object.")
    if fields is not None and value.keys() != fields:
        odd = ", ".join(sorted(value.keys() ^ fields))
        raise ManifestRefused(f"{what}: these fields are missing or unknown: {odd[:200]}.")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > 1000:
        raise ManifestRefused("sidecars: must be a list of at most 1000.")
    return value


def _text(value: Any, what: str, length: int) -> str:
    if not isinstance(value, str) or len(value) > length:
        raise ManifestRefused(f"{what}: must be a text of at most {length} characters.")
    return value


def _matching(value: Any, pattern: re.Pattern[str], what: str) -> str:
    text = _text(value, what, 200)
    if not pattern.fullmatch(text):
        raise ManifestRefused(f"{what}: is not of the form that it should have.")
    return text


def _whole(value: Any, what: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ManifestRefused(f"{what}: must be an integer from {least} to {most}.")
    return value


def _duration(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e9:
        raise ManifestRefused("file.duration: must be seconds.")
    return float(value)


def _time(value: Any) -> datetime:
    text = _text(value, "archived_at", 40)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = datetime.min
    if found.tzinfo is None or not 1970 <= found.year <= 9000:
        raise ManifestRefused("archived_at: must be a date and time with its offset from UTC.")
    if found > now() + _CLOCKS:
        raise ManifestRefused("archived_at: lies in the future. Is the clock of this host right?")
    return found


def _path(value: Any, what: str) -> str:
    path = _text(value, what, _PATH_LENGTH)
    parts = path.split("/")
    if "\\" in path or not path.isprintable() or any(part in {"", ".", ".."} for part in parts):
        raise ManifestRefused(f"{what}: is not a path inside a repository.")
    return path


def _url(value: Any, what: str) -> str:
    url = _text(value, what, _URL_LENGTH)
    if url and not PLAIN_URL.fullmatch(url):
        raise ManifestRefused(f"{what}: must be an http:// or https:// URL without a query.")
    return url


def _file(value: Mapping[str, Any], what: str, content_type: str) -> FileEntry:
    return FileEntry(
        repo=_matching(value["repo"], _REPO, f"{what}.repo"),
        path=_path(value["path"], f"{what}.path"),
        sha256=_matching(value["sha256"], _SHA256, f"{what}.sha256"),
        size=_whole(value["size"], f"{what}.size", 1, 2**63 - 1),
        content_type=content_type,
    )


def _sidecar(value: Any, what: str) -> SidecarEntry:
    value = _object(value, _FILE_FIELDS | {"kind", "language", "name"}, what)
    kind = _text(value["kind"], f"{what}.kind", 20)
    if kind not in SidecarKind.values or kind == SidecarKind.MANIFEST:
        raise ManifestRefused(f"{what}.kind: is none that lies beside a video.")
    content_type = _text(value["content_type"], f"{what}.content_type", 100)
    if content_type not in _BESIDE:
        raise ManifestRefused(f"{what}.content_type: must be one of {', '.join(sorted(_BESIDE))}.")
    language = _text(value["language"], f"{what}.language", 35)
    name = _text(value["name"], f"{what}.name", _TEXT_LENGTH)
    return SidecarEntry(_file(value, what, content_type), kind, language, name)


def _source(value: Any) -> dict[str, str]:
    source = _object(value, None, "source")
    if not source.keys() <= {"video_url", "page_url"}:
        raise ManifestRefused("source: knows video_url and page_url only.")
    return {name: _text(url, f"source.{name}", _URL_LENGTH) for name, url in source.items()}


def _key(value: Any) -> VideoKey:
    key = _object(value, frozenset({"mal_id", "episode", "provider", "resolution"}), "key")
    return VideoKey(
        _by_rule(key_rules.work_id, _whole(key["mal_id"], "key.mal_id", 0, 2**63 - 1), "key.mal_id"),
        _by_rule(key_rules.episode_number, _whole(key["episode"], "key.episode", 0, 2**31 - 1), "key.episode"),
        _by_rule(key_rules.provider_name, key["provider"], "key.provider"),
        _by_rule(key_rules.resolution_name, key["resolution"], "key.resolution"),
    )


def _by_rule(rule: Callable[[object], T], value: Any, what: str) -> T:
    try:
        return rule(value)
    except ValueError as error:
        raise ManifestRefused(f"{what}: {error}") from None
