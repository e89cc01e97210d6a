"""`tests/vectors/requests.json`: what is asked of the Worker and of the site alike, and what they answer.

A row has a `name`; `origin`, which says what the origin's paths answer (see `TableOrigin`; they lie below `/r/`); the
`request`: `to` (a path of the origin) or `url`, `method`, `headers`, `query` (appended to ours), `at` (instead of
`/proxy`), `variables`, and how it is signed: `sign` and `for` (the URL that was signed in its place); and what to
`expect`: `status`, `headers` (null: not there), one of `body`, `fill` (those bytes of the pattern), `json` (these
members), `links` (what a playlist's lines lead to), and the requests that reached the origin (`upstream`). `same` says
that nothing but equality is expected.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from storage_app.playback.signing import Key, Signer
from tests.edge.table_origin import Script, Seen

Row = dict[str, Any]

PATH = Path(__file__).parents[1] / "vectors/requests.json"
ROWS: list[Row] = json.loads(PATH.read_text(encoding="utf-8"))
KEY, OLD_KEY = "tests-signing-key", "tests-signing-key-of-before"
PATTERN = b"0123456789"
# Of the connection, not of the answer.
OF_THE_HOP = {"date", "server", "connection", "keep-alive", "transfer-encoding"}


@dataclass(frozen=True)
class Places:
    """What stands for `{origin}`, `{host}` and `{nobody}` in a row."""

    host: str
    nobody: str

    def fill(self, text: str) -> str:
        """`text` with the URLs of this run."""
        filled = text.replace("{origin}", f"{self.host}/r").replace("{host}", self.host)
        return filled.replace("{nobody}", self.nobody)

    def url(self, request: Row, name: str = "to") -> str:
        """The upstream URL of a request."""
        return self.fill(request["url"] if "url" in request else f"{{origin}}/{request.get(name, '')}")

    def scripts(self, row: Row) -> dict[str, Script]:
        """What the origin is to answer, by path."""
        text = self.fill(json.dumps(row.get("origin", {})))
        return {f"/r/{name}": script for name, script in json.loads(text).items()}


@dataclass
class Answer:
    """What came; `cut` says that the body ended before its length."""

    status: int
    headers: dict[str, str]
    body: bytes
    cut: bool = False
    seen: list[Seen] = field(default_factory=list, compare=False)


def target_of(row: Row, places: Places, now: float) -> str:
    """The path and query of the request."""
    request = row["request"]
    query = _SIGNED[request.get("sign", "exact")](request, places, int(now) + 3600)
    return f"{request.get('at', '/proxy')}{'?' if query else ''}{query}{request.get('query', '')}"


def ask(base_url: str, target: str, request: Row) -> Answer:
    """Ask, and read everything."""
    parts = urlsplit(base_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        connection.request(request.get("method", "GET"), target, headers=request.get("headers", {}))
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        try:
            body, cut = response.read(), False
        except http.client.IncompleteRead as error:
            body, cut = error.partial, True
        except ConnectionError:
            body, cut = b"", True
        return Answer(response.status, {k: v for k, v in headers.items() if k not in OF_THE_HOP}, body, cut)
    finally:
        connection.close()


def check(row: Row, answer: Answer, places: Places) -> None:
    """Is it what the row expects?"""
    expected = row["expect"]
    assert answer.status == expected.get("status", answer.status), answer
    wanted = expected.get("headers", {})
    assert {name: answer.headers.get(name) for name in wanted} == wanted
    assert answer.cut == expected.get("cut", False)
    if row["request"].get("method") != "HEAD":
        _check_body(expected, answer, places)
    if "upstream" in expected:
        _check_seen(expected["upstream"], answer.seen)


def _check_body(expected: Row, answer: Answer, places: Places) -> None:
    if "body" in expected:
        assert answer.body == expected["body"].encode()
    if "fill" in expected:
        start, stop = expected["fill"]
        assert answer.body == (PATTERN * (stop // 10 + 1))[start:stop]
    if "json" in expected:
        found = json.loads(answer.body)
        assert {name: found.get(name) for name in expected["json"]} == expected["json"]
    if "links" in expected:
        lines = [line for line in answer.body.decode().splitlines() if line.startswith("/proxy?")]
        assert [parse_qs(line.partition("?")[2])["url"][0] for line in lines] == list(
            map(places.fill, expected["links"])
        )


def _check_seen(expected: list[Row], seen: list[Seen]) -> None:
    assert len(seen) == len(expected)
    for found, wanted in zip(seen, expected, strict=True):
        assert found.method == wanted.get("method", found.method)
        assert found.target == (f"/r/{wanted['path']}" if "path" in wanted else found.target)
        headers = wanted.get("headers", {})
        assert {name: found.headers.get(name) for name in headers} == headers


def _exact(request: Row, places: Places, expires: int, key: str = KEY) -> str:
    signed, asked = places.url(request, "for" if "for" in request else "to"), places.url(request)
    query = Signer(Key(key), expires).exact(signed, request.get("variables", ""))
    return query if signed == asked else _instead(query, asked)


def _child(request: Row, places: Places, expires: int) -> str:
    query = Signer(Key(KEY), expires).child(places.url(request, "for" if "for" in request else "to"))
    return _instead(query, places.url(request))


def _instead(query: str, url: str) -> str:
    return f"{query.partition('&url=')[0]}&url={quote(url, safe='')}"


def _raw(request: Row, places: Places, expires: int) -> str:
    """Signed as it is, which a Signer would not do."""
    key, url = Key(KEY), places.url(request)
    return _instead(f"exp={expires}&kid={key.kid}&sig={key.sign('exact', expires, url)}", url)


def _put_off(request: Row, places: Places, expires: int) -> str:
    return _exact(request, places, 1_000_000).replace("exp=1000000", f"exp={expires}")


def _with_signature(request: Row, places: Places, expires: int, *, upper: bool) -> str:
    query = _exact(request, places, expires)
    signature = parse_qs(query)["sig"][0]
    return query.replace(signature, signature.upper() if upper else signature[:-1])


_SIGNED: dict[str, Callable[[Row, Places, int], str]] = {
    "exact": _exact,
    "child": _child,
    "raw": _raw,
    "none": lambda request, places, _: f"url={quote(places.url(request), safe='')}" if "to" in request else "",
    "expired": lambda request, places, _: _exact(request, places, int(time.time()) - 1),
    "put_off": _put_off,
    "other_key": lambda request, places, expires: _exact(request, places, expires, "another key"),
    "old_key": lambda request, places, expires: _exact(request, places, expires, OLD_KEY),
    "short": lambda request, places, expires: _with_signature(request, places, expires, upper=False),
    "upper": lambda request, places, expires: _with_signature(request, places, expires, upper=True),
    "odd_expiry": lambda request, places, expires: _exact(request, places, expires).replace("exp=", "exp=0"),
}
