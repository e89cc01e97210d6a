"""Strict reading of settings from the environment.

A value that isn't understood stops the start with a sentence naming the variable. A secret may also be given as a file
(`NAME_FILE=/run/secrets/name`), or lie in `REELKEEP_DATA/secrets/NAME`, where `manage.py run` puts those it makes up.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from django.core.exceptions import ImproperlyConfigured

T = TypeVar("T")

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}


def text(name: str, default: str = "") -> str:
    """The variable's value without surrounding white space; `default` when unset or empty."""
    return os.environ.get(name, "").strip() or default


def boolean(name: str, *, default: bool) -> bool:
    """1/true/yes/on or 0/false/no/off, in any case."""
    value = text(name).lower()
    if not value:
        return default
    if value in _TRUE | _FALSE:
        return value in _TRUE
    raise ImproperlyConfigured(f"{name}={value!r}: expected one of 1, true, yes, on, 0, false, no, off.")


def integer(name: str, default: int, *, minimum: int = 0, maximum: int | None = None) -> int:
    """A whole number within [minimum, maximum]."""
    return _number(name, default, int, minimum, maximum, "a whole number")


def number(name: str, default: float, *, minimum: float = 0.0, maximum: float | None = None) -> float:
    """A number within [minimum, maximum]."""
    return _number(name, default, float, minimum, maximum, "a number")


def choice(name: str, default: str, allowed: Sequence[str]) -> str:
    """One of some words, in any case."""
    value = text(name, default).lower()
    if value not in allowed:
        raise ImproperlyConfigured(f"{name}={value!r}: expected one of {', '.join(allowed)}.")
    return value


def csv(name: str) -> list[str]:
    """Comma-separated values, blanks dropped."""
    return [part.strip() for part in text(name).split(",") if part.strip()]


def host_ports(name: str) -> frozenset[tuple[str, int]]:
    """Comma-separated exact `host:port` pairs, IPv6 in brackets; host in lower case."""
    pairs = set()
    for item in csv(name):
        match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\s:/@*\[\]]+):([0-9]{1,5})", item)
        if match is None or not 0 < int(match[2]) < 65536:
            raise ImproperlyConfigured(f"{name}: {item!r} is not host:port (for example 127.0.0.1:9000).")
        pairs.add((match[1].strip("[]").lower(), int(match[2])))
    return frozenset(pairs)


def path(name: str, default: str) -> Path:
    """An absolute path; `~` and relative paths are resolved against the working directory."""
    return Path(text(name, default)).expanduser().absolute()


def secret(name: str, data_folder: Path) -> str:
    """A secret from NAME, from the file NAME_FILE, or from `<data folder>/secrets/NAME`; "" when there is none."""
    value = text(name)
    file_name = text(f"{name}_FILE")
    if value and file_name:
        raise ImproperlyConfigured(f"{name} and {name}_FILE are both set: keep one.")
    if value:
        return value
    if file_name:
        try:
            return Path(file_name).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE={file_name}: {error.strerror}.") from error
    kept = secret_path(name, data_folder)
    try:
        return kept.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ImproperlyConfigured(f"{kept}: {error.strerror}.") from error


def secret_path(name: str, data_folder: Path) -> Path:
    """Where a made-up secret is kept."""
    return data_folder / "secrets" / name


def _number(
    name: str,
    default: T,
    parse: Callable[[str], T],
    minimum: float,
    maximum: float | None,
    what: str,
) -> T:
    raw = text(name)
    if not raw:
        return default
    try:
        value = parse(raw)
    except ValueError:
        raise ImproperlyConfigured(f"{name}={raw!r}: expected {what}.") from None
    if not minimum <= value or (maximum is not None and not value <= maximum):  # type: ignore[operator]
        upper = "" if maximum is None else f" and at most {maximum}"
        raise ImproperlyConfigured(f"{name}={raw}: must be at least {minimum}{upper}.")
    return value
