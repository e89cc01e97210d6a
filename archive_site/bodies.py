"""Reading the body of a foreign answer: as it comes, unpacked, or whole when it is small."""

from __future__ import annotations

import http.client
import zlib
from collections.abc import Iterator

import requests
import urllib3

from archive_site.addresses import display_url
from archive_site.fetch_errors import BodyTooLarge, Cut, reason

PIECE_BYTES = 256 * 1024
# Ordinary text packs 3 to 20 times; deflate's limit is 1032 times.
_EXPANSION = 100
_EXPANSION_FREE_BYTES = 16 * 1024 * 1024
_BARREN_BYTES = 1024 * 1024

_GZIP = 16 + zlib.MAX_WBITS
# RFC 9110 §8.4.1.2: "deflate" is the zlib format; some servers send the bare stream of RFC 1951.
_CODINGS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": zlib.MAX_WBITS}


def read_body(response: requests.Response, *, decode: bool = False) -> Iterator[bytes]:
    """The body as it arrives, in pieces of at most 256 KiB, `decode`d by its Content-Encoding if wanted.

    Never waits to fill a piece, so the caller is asked often even by a slow source. Raises Cut when the source stops
    before the promised length, breaks the connection, is silent for the policy's read time-out or next to silent for
    longer; BodyTooLarge when it unpacks to a hundred times its size. What is packed in a way that nobody asked for, or
    several times over, comes as it is.
    """
    coding = _coding(response) if decode else ""
    pieces = _raw_pieces(response)
    return _decoded(pieces, coding, display_url(response.url)) if coding else pieces


def read_all(response: requests.Response, limit: int, *, decode: bool = True) -> bytes:
    """The whole body of a small document, unpacked.

    Raises BodyTooLarge as soon as it is known to be more than `limit` bytes, and Cut.
    """
    where = display_url(response.url)
    if decode and _coding(response) is None:
        raise Cut(f"{where} is compressed in a way that nobody asked for, which is not read.")
    too_large = f"{where} is larger than the {limit} bytes that are read of it."
    promised = response.headers.get("Content-Length", "")
    if promised.isascii() and promised.isdigit() and int(promised[:20]) > limit:
        raise BodyTooLarge(too_large)
    body = bytearray()
    for piece in read_body(response, decode=decode):
        body += piece
        if len(body) > limit:
            raise BodyTooLarge(too_large)
    return bytes(body)


def _raw_pieces(response: requests.Response) -> Iterator[bytes]:
    read = response.raw.read1
    try:
        while piece := read(PIECE_BYTES, decode_content=False):
            yield piece
    except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
        raise Cut(f"{display_url(response.url)} stopped in the middle: {reason(error)}.") from error


def _coding(response: requests.Response) -> str | None:
    """The one content coding, "" when there is none; None for several, and for one that can't be unpacked."""
    codings = [name.strip().lower() for name in response.headers.get("Content-Encoding", "").split(",")]
    codings = [name for name in codings if name not in {"", "identity"}]
    if not codings:
        return ""
    return codings[0] if len(codings) == 1 and codings[0] in _CODINGS else None


def _decoded(pieces: Iterator[bytes], coding: str, where: str) -> Iterator[bytes]:
    packed = unpacked = barren = 0
    stream = _Unpacking(coding)
    try:
        for piece in pieces:
            packed += len(piece)
            barren += len(piece)
            for plain in stream.feed(piece):
                barren = 0
                unpacked += len(plain)
                if unpacked > _EXPANSION_FREE_BYTES + _EXPANSION * packed:
                    raise BodyTooLarge(f"{where} unpacks to more than {_EXPANSION} times its size.")
                yield plain
            if barren > _BARREN_BYTES:
                raise Cut(f"{where} unpacks to nothing.")
    except zlib.error as error:
        raise Cut(f"{where} stopped in the middle: its compression is broken.") from error
    if packed and not stream.whole:
        raise Cut(f"{where} stopped in the middle: its compressed data has no end.")


class _Unpacking:
    """One compressed stream, or for gzip several in a row (RFC 1952 §2.2), unpacked a piece at a time."""

    def __init__(self, coding: str) -> None:
        self.whole = True
        """Has all that came been unpacked to the end of a stream?"""
        self._bits = _CODINGS[coding]
        self._stream = zlib.decompressobj(self._bits)
        self._fed = False
        self._finished = 0
        self._over = False

    def feed(self, packed: bytes) -> Iterator[bytes]:
        """What `packed` adds, in pieces of at most 256 KiB. Raises zlib.error."""
        plain = b""
        while (packed or len(plain) == PIECE_BYTES) and not self._over:
            plain = self._unpack(packed)
            if plain:
                yield plain
            packed = self._stream.unconsumed_tail
            if self._stream.eof:
                packed, plain = self._stream.unused_data, b""
                self._begin_next()

    def _begin_next(self) -> None:
        self.whole = True
        self._over = self._bits != _GZIP
        self._stream = zlib.decompressobj(self._bits)
        self._fed = False
        self._finished += 1

    def _unpack(self, packed: bytes) -> bytes:
        try:
            plain = self._stream.decompress(packed, PIECE_BYTES)
        except zlib.error:
            if self._fed or (self._bits == _GZIP and not self._finished):
                raise
            if self._finished:
                # Padding after the last stream, which gzip(1) ignores too.
                self._over = True
                return b""
            self._bits = -zlib.MAX_WBITS
            self._stream = zlib.decompressobj(self._bits)
            plain = self._stream.decompress(packed, PIECE_BYTES)
        self._fed, self.whole = True, False
        return plain
