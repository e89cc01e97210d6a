"""A bucket of a real S3 server as the account under test."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from storage_app.backends.base import Backend
from storage_app.backends.s3 import S3Backend
from tests.servers.rgw import Rgw
from tests.servers.s3 import new_bucket
from tests.servers.s3_faults import S3Faults

SENDING = ("PutObject", "UploadPart", "CopyObject", "CompleteMultipartUpload")
USER = "tests"


class S3Case:
    """Its server has a proxy before it that counts; parts are as small as S3 allows."""

    checks_hash = True
    copies = True

    def __init__(self, server: Rgw, proxy: S3Faults, folder: Path) -> None:
        self._server, self._proxy, self._folder = server, proxy, folder
        self._bucket = new_bucket(server, folder, proxy.endpoint)
        self.secrets: tuple[str, ...] = (server.secret_key, "wrong-secret-key")
        self._own = S3Backend(self._bucket)
        self.backend: Backend = self._own

    def another(self) -> Backend:
        """A second bucket of the same owner."""
        return S3Backend(new_bucket(self._server, self._folder, self._proxy.endpoint))

    def trace(self, repo: str, path: str) -> object:
        """How much was sent to the server so far."""
        return [(self._proxy.count(name), self._proxy.sent(name)) for name in SENDING]

    def corrupt(self, repo: str, path: str) -> None:
        """Other bytes with the same size and metadata, as if the service's disk had changed them."""
        key = f"{repo}/{path}"
        found = self._own.client.call("get_object", Key=key)
        content = bytearray(found["Body"].read())
        content[len(content) // 2] ^= 1
        self._own.client.call("put_object", Key=key, Body=bytes(content), Metadata=found["Metadata"])

    def vanish(self, repo: str, path: str) -> None:
        """Somebody removes it."""
        self._own.client.call("delete_object", Key=f"{repo}/{path}")

    @contextmanager
    def full(self) -> Iterator[Backend]:
        """The user's quota is used up."""
        self._server.limit(USER, 1024 * 1024)
        try:
            yield self.backend
        finally:
            self._server.limit(USER, 10**15)  # this server doesn't hear of a quota that was disabled

    @contextmanager
    def denied(self) -> Iterator[Backend]:
        """With the wrong secret key."""
        yield S3Backend(replace(self._bucket, secret_key="wrong-secret-key"))

    @contextmanager
    def unreachable(self) -> Iterator[Backend]:
        """Nobody listens there."""
        yield S3Backend(replace(self._bucket, endpoint=f"http://127.0.0.1:{closed_port()}"))


def closed_port() -> int:
    """A port of this host at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
