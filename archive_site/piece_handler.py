"""Django's ASGI handler, which sends a PiecesResponse with as little between its pieces and the server as can be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponseBase

from archive_site.body_limit import Send
from archive_site.pieces import FileSlice, Piece, PiecesResponse, closing, next_part
from archive_site.zero_copy import EXTENSION, FileEnded, HasToBeRead, ViewerLeft


class PieceHandler(ASGIHandler):
    """Django's handler for everything but a PiecesResponse."""

    async def run_get_response(self, request: Any) -> HttpResponseBase:
        """See ASGIHandler. Notes how the response may be sent."""
        response = await super().run_get_response(request)
        if isinstance(response, PiecesResponse):
            response.bodiless = request.method == "HEAD"
            response.by_kernel = _by_kernel(request, response)
        return response

    async def send_response(self, response: HttpResponseBase, send: Send) -> None:
        """See ASGIHandler."""
        if not isinstance(response, PiecesResponse):
            await super().send_response(response, send)
            return
        async with closing(response.pieces) as pieces:
            await send({"type": "http.response.start", "status": response.status_code, "headers": _headers(response)})
            try:
                if not response.bodiless:
                    await _send_pieces(pieces, response.by_kernel, send)
            except ViewerLeft:
                return
            await send({"type": "http.response.body"})


async def _send_pieces(pieces: AsyncIterator[Piece], by_kernel: bool, send: Send) -> None:
    async for piece in pieces:
        if isinstance(piece, bytes):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        else:
            await _send_file(piece, by_kernel, send)


async def _send_file(piece: FileSlice, by_kernel: bool, send: Send) -> None:
    """By the kernel as far as that has it in memory, the rest by reading it. Raises ViewerLeft."""
    while not (by_kernel and await _is_done(piece, send)) and (part := await next_part(piece)):
        await send({"type": "http.response.body", "body": part, "more_body": True})
        piece.sent += len(part)


async def _is_done(piece: FileSlice, send: Send) -> bool:
    """Send what is in memory. True when that is all, or all that can be had of it."""
    message = {
        "type": EXTENSION,
        "file": piece.file,
        "offset": piece.start + piece.sent,
        "count": piece.length - piece.sent,
        "more_body": True,
    }
    try:
        await send(message)
    except FileEnded as ended:
        piece.sent += ended.sent
        if isinstance(ended, HasToBeRead):
            return False
        piece.error = ended.__cause__ if isinstance(ended.__cause__, OSError) else None
    else:
        piece.sent = piece.length
    return True


def _by_kernel(request: HttpRequest, response: PiecesResponse) -> bool:
    return EXTENSION in request.scope.get("extensions", {}) and response.has_header("Content-Length")  # type: ignore[attr-defined]


def _headers(response: HttpResponseBase) -> list[tuple[bytes, bytes]]:
    plain = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
    cookies = [(b"Set-Cookie", morsel.OutputString().encode("ascii")) for morsel in response.cookies.values()]
    return plain + cookies
