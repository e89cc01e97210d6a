"""An S3 service whose TLS goes wrong in the middle of an object."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from storage_app.backends.base import StorageUnavailableError
from storage_app.backends.s3 import Bucket, S3Backend
from tests.servers.raw import RawServer

HEAD = b'HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\nETag: "e"\r\n\r\n'


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Of 127.0.0.1, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "certificate.pem"
    own = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + own)
    return file


def test_tls_that_breaks_in_the_middle_of_an_object_is_an_account_out_of_reach(
    certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def talk(connection: socket.socket) -> None:
        raw = connection.dup()
        with raw, context.wrap_socket(connection, server_side=True, suppress_ragged_eofs=True) as secure:
            secure.recv(65536)
            secure.sendall(HEAD + b"ten bytes.")
            raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))  # a record that nobody has encrypted
            raw.shutdown(socket.SHUT_WR)
            raw.recv(65536)

    with RawServer(talk) as server:
        port = server.host_port[1]
        endpoint = f"https://127.0.0.1:{port}"
        bucket = Bucket(endpoint, "films", "eu", "key", "secret", "path", "", "", "weaboo", 5, tmp_path, attempts=1)
        with pytest.raises(StorageUnavailableError, match="broke the connection off"):
            list(S3Backend(bucket).open("weaboo-1", "1.mp4"))
