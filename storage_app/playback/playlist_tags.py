"""Reading a playlist's lines: attribute lists and variables (RFC 8216bis §4.2, §4.3).

Texts are bytes as characters (ISO 8859-1), and lengths are those in bytes.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

MAX_VALUE = 2048
"""Bytes of a variable's value, and of all variables that a link hands on, when they are percent-encoded."""
MAX_SUBSTITUTED = 4096
"""Bytes of a reference in which variables are replaced, before and after."""

DEFINE = "#EXT-X-DEFINE:"
_DEFINING = {"NAME", "VALUE", "IMPORT", "QUERYPARAM"}

# A value is a quoted string, or what comes before the next comma; what follows a quoted string up to it is ignored.
_ATTRIBUTE = re.compile(r'([^=,"]*)=([ \t]*"[^"]*"|[^,]*)[^,]*(?:,|$)|[^,]*(?:,|$)')
_REFERENCE = re.compile(r"\{\$([A-Za-z0-9_-]+)\}")
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_NOT_OF_VALUES = re.compile(r'[\x00-\x1f"\x7f]')


class Attribute(NamedTuple):
    """One attribute; `text[start:stop]` is its value, without the quotes."""

    name: str
    value: str
    start: int
    stop: int


def attributes(text: str, names: Container[str]) -> Iterator[Attribute]:
    """Those of an attribute list that have one of these names, in order. What is no attribute is skipped."""
    for match in _ATTRIBUTE.finditer(text):
        name = match[1]
        if name is None or (name := name.strip(" \t")) not in names:
            continue
        value = match[2].strip(" \t")
        start = match.start(2) + match[2].index(value)
        if value[:1] != '"':
            yield Attribute(name, value, start, start + len(value))
        else:
            value = value[1:-1] if len(value) > 1 and value[-1] == '"' else value[1:]
            yield Attribute(name, value, start + 1, start + 1 + len(value))


class Variables:
    """The values that a playlist's EXT-X-DEFINE tags give to names, the first one of each.

    `query` is that of the playlist's URL (QUERYPARAM), `imported` that which its link handed on (IMPORT). Values that
    are too long or that no quoted string can hold stay undefined.
    """

    def __init__(self, query: str, imported: str) -> None:
        self._query, self._imported = _pairs(query), _pairs(imported)
        self._values: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._values)

    def define(self, line: str) -> str:
        """Take note of an EXT-X-DEFINE line. The line for players, who don't see the query nor what was handed on."""
        given = {attribute.name: attribute.value for attribute in attributes(line[len(DEFINE) :], _DEFINING)}
        if "NAME" in given:
            if "VALUE" in given:
                self._note(given["NAME"], given["VALUE"])
            return line
        asked, values = ("QUERYPARAM", self._query) if "QUERYPARAM" in given else ("IMPORT", self._imported)
        name = given.get(asked, "")
        value = values.get(name)
        if value is None or not self._note(name, value):
            return line
        return f'{DEFINE}NAME="{name}",VALUE="{value}"'

    def replace(self, text: str) -> str:
        """`text` with the values of its variables; as it is when it would be too long."""
        if "{$" not in text or len(text) > MAX_SUBSTITUTED:
            return text
        replaced = _REFERENCE.sub(self._value, text)
        return replaced if len(replaced) <= MAX_SUBSTITUTED else text

    def handed_on(self) -> str:
        """All of them as a query string, as far as there is room."""
        parts: list[str] = []
        room = MAX_VALUE
        for name, value in self._values.items():
            part = f"{name}={quote(value, safe='', encoding='latin-1')}"
            if len(part) < room:
                parts.append(part)
                room -= len(part) + 1
        return "&".join(parts)

    def _note(self, name: str, value: str) -> bool:
        if not _NAME.fullmatch(name) or len(value) > MAX_VALUE or _NOT_OF_VALUES.search(value):
            return False
        self._values.setdefault(name, value)
        return True

    def _value(self, match: re.Match[str]) -> str:
        return self._values.get(match[1], match[0])


def _pairs(query: str) -> Mapping[str, str]:
    """The first value of each name; a plus sign is a plus sign."""
    values: dict[str, str] = {}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        values.setdefault(_decoded(name), _decoded(value))
    return values


def _decoded(text: str) -> str:
    return unquote_to_bytes(text).decode("latin-1")
