"""gunicorn's ASGI worker, to which the ASGI extension `http.response.zerocopysend` is added.

Over plain HTTP/1 only: with TLS or HTTP/2 every byte has to pass through this process, and the extension isn't offered.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from gunicorn.asgi.protocol import HIGH_WATER_LIMIT, ASGIProtocol  # type: ignore[import-untyped]
from gunicorn.workers import gasgi  # type: ignore[import-untyped]

from archive_site.body_limit import Application, Message, Receive, Send
from archive_site.zero_copy import AVAILABLE, EXTENSION, Transfer, ViewerLeft


class _Body:
    """What of a response's body has been sent, files included, which gunicorn itself doesn't count."""

    def __init__(self) -> None:
        self._left: int | None = None
        self.has_files = False

    @property
    def whole(self) -> bool:
        """Have exactly as many bytes been sent as were promised?"""
        return self._left == 0

    def promise(self, headers: list[tuple[bytes, bytes]]) -> None:
        """What the response's Content-Length says."""
        lengths = [value for name, value in headers if name.lower() == b"content-length"]
        self._left = int(lengths[0]) if len(lengths) == 1 and lengths[0].isdigit() else None

    def allow(self, count: int) -> int:
        """How many of `count` further bytes may be sent; they count as sent."""
        if self._left is None:
            return count
        allowed = min(count, self._left)
        self._left -= allowed
        return allowed

    def require_length(self) -> None:
        """Raises RuntimeError without a Content-Length: gunicorn then wraps what is sent in chunks."""
        if self._left is None:
            raise RuntimeError("Files are sent in responses with a Content-Length only.")

    def not_sent(self, count: int) -> None:
        """Take back what was allowed but never went out."""
        if self._left is not None:
            self._left += count


_body: ContextVar[_Body] = ContextVar("body")


class Protocol(ASGIProtocol):  # type: ignore[misc]
    """One connection."""

    app: Application
    _response_buffer: bytes | None

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker)
        self._without_files = self.app
        self.app = self._application

    def _build_http_scope(self, request: Any, sockname: Any, peername: Any) -> dict[str, Any]:
        scope: dict[str, Any] = super()._build_http_scope(request, sockname, peername)
        if AVAILABLE and not (self._is_ssl or self._uses_uwsgi or request.method == "HEAD"):
            scope["extensions"] = {**scope.get("extensions", {}), EXTENSION: {}}
        return scope

    async def _application(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if EXTENSION not in scope.get("extensions", {}):
            await self._without_files(scope, receive, send)
            return
        body = _body.get()

        async def counted(message: Message) -> None:
            kind = message["type"]
            if kind == EXTENSION:
                await self._send_file(body, message)
                if not message.get("more_body", False):
                    await send({"type": "http.response.body"})
                return
            if kind == "http.response.start":
                body.promise(message["headers"])
            elif kind == "http.response.body" and (content := message.get("body", b"")):
                allowed = body.allow(len(content))
                if allowed < len(content):
                    message = {**message, "body": content[:allowed]}
            await send(message)

        await self._without_files(scope, receive, counted)

    async def _send_file(self, body: _Body, message: Message) -> None:
        """Raises ViewerLeft and FileEnded."""
        body.require_length()
        if self._closed:
            raise ViewerLeft
        body.has_files = True
        if self._response_buffer:
            self._safe_write(self._response_buffer)
            self._response_buffer = None
        await self._emptied()
        count = body.allow(message["count"])
        transfer = Transfer(self._descriptor(), message["file"], message.get("offset", 0), count)
        try:
            await transfer.run()
        finally:
            body.not_sent(count - transfer.sent)

    async def _emptied(self) -> None:
        """Until the transport holds nothing that has to go out before what is sent past it."""
        self.transport.set_write_buffer_limits(high=0)
        try:
            await self._flow_control.drain()
        finally:
            self.transport.set_write_buffer_limits(high=HIGH_WATER_LIMIT)

    def _descriptor(self) -> int:
        descriptor: int = self.transport.get_extra_info("socket").fileno()
        if descriptor < 0:
            raise ViewerLeft
        return descriptor

    async def _handle_http_request(self, request: Any, sockname: Any, peername: Any, complete: Any = None) -> bool:
        """See gunicorn. It doesn't count files and takes their response for short: the connection is kept nevertheless.

        Each request is handled in a task of its own, so the body is this one's.
        """
        body = _Body()
        _body.set(body)
        keep: bool = await super()._handle_http_request(request, sockname, peername, complete)
        return keep or (body.has_files and body.whole and not (self._closed or self._will_close(request, False)))


class Worker(gasgi.ASGIWorker):  # type: ignore[misc]
    """Serves with the protocol above."""

    async def _serve(self) -> None:
        # It notes on its own class what the parser can do, and looks it up there.
        ASGIProtocol._check_h1c_protocol_available()
        # There is no setting for the protocol's class: the worker takes it from this name.
        gasgi.ASGIProtocol = Protocol
        await super()._serve()
