"""A TCP server on loopback that says exactly what a test wants, HTTP or not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Self

Conversation = Callable[[socket.socket], None]


class RawServer:
    """`with RawServer(conversation) as server:` calls that, in a thread, for every connection and then closes it.

    A client that leaves in the middle ends the conversation.
    """

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.closing = threading.Event()
        self.heads: list[str] = []
        """The request heads that `read_head` read."""

    @property
    def host_port(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._listener.getsockname()[:2]
        return host, port

    def url(self, path: str = "/") -> str:
        """The http URL of a path."""
        return "http://{}:{}{}".format(*self.host_port, path)

    def read_head(self, connection: socket.socket) -> str:
        """Read one request without a body, and remember it."""
        head = b""
        while b"\r\n\r\n" not in head and (piece := connection.recv(65536)):
            head += piece
        self.heads.append(head.decode("latin-1"))
        return self.heads[-1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        # Closing alone doesn't wake a thread that waits in accept().
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection:
            try:
                self._conversation(connection)
            except OSError:
                return


def answering(*pieces: bytes) -> Callable[[RawServer], Conversation]:
    """Reads a request and sends these bytes."""

    def of(server: RawServer) -> Conversation:
        def talk(connection: socket.socket) -> None:
            server.read_head(connection)
            for piece in pieces:
                connection.sendall(piece)

        return talk

    return of
