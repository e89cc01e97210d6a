"""Xet's content-addressed storage: tokens, chunks known to all, xorbs, shards, and how to rebuild a file.

<https://huggingface.co/docs/xet/api>, `openapi/cas.openapi.yaml` of github.com/huggingface/xet-core.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.servers.hub.faults import FULL
from tests.servers.hub.http import Answer, Refused, Request, Routes, answer_json, byte_range
from tests.servers.hub.state import FileContent, Object, Repo, State, User
from tests.servers.hub.xet_formats import (
    BadFormat,
    Chunk,
    Segment,
    Shard,
    ShardFile,
    hash_text,
    read_shard,
    read_xorb,
    unpack,
    write_shard,
)

api = Routes()
storage = Routes(storage=True)


@dataclass(frozen=True)
class Xorb:
    """A stored xorb."""

    content: FileContent
    chunks: list[Chunk]


@dataclass(frozen=True)
class Token:
    """What a Xet token allows, and until when."""

    user: User
    repo: Repo
    write: bool
    expires: int


class Cas:
    """What is stored, the same for every user: `xorbs`, `files` and `shared` (a shard by chunk) by hash."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.tokens: dict[str, Token] = {}
        self.xorbs: dict[str, Xorb] = {}
        self.files: dict[str, ShardFile] = {}
        self.shared: dict[str, bytes] = {}

    def user_of(self, token: str) -> User | None:
        """Whose Xet token it is."""
        return self.tokens[token].user if token in self.tokens else None

    def token_of(self, request: Request, *, write: bool = False) -> Token:
        """What the request may do. Raises Refused."""
        token = self.tokens.get((request.headers.get("Authorization") or "").removeprefix("Bearer "))
        if token is None or token.expires <= time.time():
            raise Refused(401, "Unauthorized")
        if write and not token.write:
            raise Refused(403, "Forbidden")
        return token

    def chunks(self, segment: Segment) -> list[Chunk]:
        """Those of a segment. Raises BadFormat when the xorb has no such chunks, or they have another size."""
        xorb = self.xorbs.get(segment.xorb)
        chunks = xorb.chunks[segment.start : segment.end] if xorb else []
        if len(chunks) != segment.end - segment.start or sum(one.size for one in chunks) != segment.size:
            raise BadFormat(f"xorb {segment.xorb} does not hold what the shard says")
        return chunks

    def take_in(self, shard: Shard, repo: Repo) -> None:
        """Know the shard's files, as files that were uploaded to `repo`, and let others find its chunks."""
        for file in shard.files:
            for segment in file.segments:
                self.chunks(segment)
        shared = write_shard(shard.xorbs)
        with self.state.lock:
            for file in shard.files:
                self.files[file.hash] = file
                if file.sha256:
                    repo.objects[file.sha256] = Object(XetContent(self, file), file.hash)
            for chunk in _to_share(shard):
                self.shared[chunk] = shared


def _to_share(shard: Shard) -> Iterator[str]:
    """The chunks by which others may find the shard: those marked, and the first one of every file."""
    xorbs = {xorb.hash: xorb for xorb in shard.xorbs}
    for xorb in shard.xorbs:
        yield from xorb.shared
    for file in shard.files:
        if file.segments and (first := xorbs.get(file.segments[0].xorb)):
            yield hash_text(first.chunks[file.segments[0].start])


class XetContent:
    """A file that is rebuilt from chunks whenever it is read."""

    def __init__(self, cas: Cas, file: ShardFile) -> None:
        self._cas, self._file, self.size = cas, file, file.size

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """From `start` up to but without `end`. Raises BadFormat when a xorb on disk is broken."""
        position = 0
        for segment in self._file.segments:
            if position < end and position + segment.size > start:
                yield from self._segment(segment, start - position, end - position)
            position += segment.size

    def _segment(self, segment: Segment, start: int, end: int) -> Iterator[bytes]:
        position = 0
        with self._cas.xorbs[segment.xorb].content.path.open("rb") as file:
            for chunk in self._cas.chunks(segment):
                if position < end and position + chunk.size > start:
                    file.seek(chunk.at)
                    data = unpack(chunk, file.read(chunk.packed))
                    yield data[max(0, start - position) : end - position]
                position += chunk.size


@api("xet-write-token", "GET", "/api/datasets/{repo}/xet-write-token/(?P<revision>[^/]+)")
def write_token(request: Request) -> Answer:
    """A token to upload with."""
    repo = request.repo(write=True)
    room = request.hub.state.room(repo)
    if room is not None and room <= 0:
        raise Refused(403, FULL)
    return _token(request, repo, write=True)


@api("xet-read-token", "GET", "/api/datasets/{repo}/xet-read-token/(?P<revision>[^/]+)")
def read_token(request: Request) -> Answer:
    """A token to download with."""
    return _token(request, request.repo(), write=False)


def _token(request: Request, repo: Repo, *, write: bool) -> Answer:
    hub, text = request.hub, f"xet_{secrets.token_hex()}"
    expires = int(time.time()) + hub.token_lifetime
    hub.cas.tokens[text] = Token(request.user or repo.owner, repo, write, expires)
    headers = {
        "X-Xet-Cas-Url": hub.storage_endpoint,
        "X-Xet-Access-Token": text,
        "X-Xet-Token-Expiration": str(expires),
    }
    return answer_json({"casUrl": hub.storage_endpoint, "accessToken": text, "exp": expires}, headers=headers)


@storage("chunk", "GET", "/v1/chunks/[a-z-]+/{hash}")
def chunk(request: Request) -> Answer:
    """A shard with the xorbs beside a chunk that is known from anybody."""
    request.hub.cas.token_of(request)
    shard = request.hub.cas.shared.get(request.params["hash"])
    if shard is None:
        raise Refused(404, "Chunk not found")
    return Answer(headers={"Content-Type": "application/octet-stream"}, body=shard)


@storage("xorb", "POST", "/v1/xorbs/[a-z-]+/{hash}", kind="xorb")
def xorb(request: Request) -> Answer:
    """Store a xorb."""
    cas = request.hub.cas
    cas.token_of(request, write=True)
    path, size = cas.state.new_file("xorbs"), 0
    with path.open("wb") as file:
        for block in request.body:
            size += file.write(block)
    try:
        chunks = read_xorb(path)
    except BadFormat as error:
        raise Refused(400, str(error)) from error
    with cas.state.lock:
        new = request.params["hash"] not in cas.xorbs
        cas.xorbs.setdefault(request.params["hash"], Xorb(FileContent(path, size), chunks))
    if not new:
        path.unlink()
    return answer_json({"was_inserted": new})


@storage("shard", "POST", "/v[12]/shards", kind="shard")
def shard(request: Request) -> Answer:
    """Take in what files are made of; the second version of the call answers in lines."""
    cas = request.hub.cas
    token = cas.token_of(request, write=True)
    try:
        cas.take_in(read_shard(request.body.read()), token.repo)
    except BadFormat as error:
        raise Refused(400, str(error)) from error
    if request.path.startswith("/v1"):
        return answer_json({"result": 1})
    lines = [{"type": "validating", "verified": 1, "total": 1}, {"type": "result"}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    return Answer(headers={"Content-Type": "application/x-ndjson"}, body=text.encode())


@storage("grant", "POST", "/v1/xorb-grants/[a-z-]+/{hash}")
def grant(request: Request) -> Answer:
    """A signed place to send a xorb to: not offered, so that the client sends it here."""
    request.hub.cas.token_of(request, write=True)
    raise Refused(404, "Not found")


@storage("telemetry", "POST", "/v1/telemetry")
def telemetry(request: Request) -> Answer:
    """What the client tells of its transfer."""
    request.hub.cas.token_of(request)
    return answer_json({})


@storage("reconstruction", "GET", "/v1/reconstructions/{hash}")
def reconstruction(request: Request) -> Answer:
    """Which chunks make up a file, or the range that is asked for, and where to get them."""
    cas = request.hub.cas
    token = cas.token_of(request)
    file = cas.files.get(request.params["hash"])
    if file is None:
        raise Refused(404, "File not found")
    start, end = byte_range(request.headers.get("Range"), file.size) or (0, file.size)
    terms: list[dict[str, Any]] = []
    fetch: dict[str, list[dict[str, Any]]] = {}
    position, offset = 0, 0
    for segment in file.segments:
        chunks = cas.chunks(segment)
        wanted, skipped = _within(chunks, start - position, end - position)
        position += segment.size
        if not wanted:
            continue
        offset = offset if terms else skipped
        first = segment.start + wanted.start
        span = {"start": first, "end": first + len(wanted)}
        size = sum(chunks[number].size for number in wanted)
        terms.append({"hash": segment.xorb, "unpacked_length": size, "range": span})
        last = chunks[wanted[-1]]
        url_range = {"start": chunks[wanted.start].at, "end": last.at + last.packed - 1}
        url = request.hub.sign(f"/xorbs/{segment.xorb}", token.user)
        fetch.setdefault(segment.xorb, []).append({"range": span, "url": url, "url_range": url_range})
    return answer_json({"offset_into_first_range": offset, "terms": terms, "fetch_info": fetch})


def _within(chunks: list[Chunk], start: int, end: int) -> tuple[range, int]:
    """The chunks that hold bytes of a range, and how many bytes of the first one lie before it."""
    position, first, skipped, stop = 0, len(chunks), 0, 0
    for number, one in enumerate(chunks):
        if position < end and position + one.size > start:
            if first > number:
                first, skipped = number, max(0, start - position)
            stop = number + 1
        position += one.size
    return range(first, max(first, stop)), skipped


@storage("xorb-range", "GET", "/xorbs/{hash}")
def xorb_range(request: Request) -> Answer:
    """A part of a xorb."""
    request.hub.check_signature(request)
    stored = request.hub.cas.xorbs.get(request.params["hash"])
    if stored is None:
        raise Refused(404, "NoSuchKey")
    start, end = byte_range(request.headers.get("Range"), stored.content.size) or (0, stored.content.size)
    headers = {"Content-Range": f"bytes {start}-{end - 1}/{stored.content.size}"}
    return Answer(206, headers, stored.content.read(start, end), end - start)
