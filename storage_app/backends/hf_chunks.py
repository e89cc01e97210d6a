"""Uploading by Xet, Hugging Face's store of deduplicated chunks (https://huggingface.co/docs/xet).

We drive hf_xet as huggingface_hub does, but see how far it is, can stop it, and give up what no longer moves. What one
upload has sent, a later one of the same bytes needn't send again, to whichever account: HF_HOME must be kept for that.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from storage_app.backends.base import FileToPut, GrowingFile, StorageUnavailableError
from storage_app.backends.hf_client import HubClient
from storage_app.backends.hf_errors import translated
from storage_app.backends.hf_meter import Meter

if TYPE_CHECKING:
    from huggingface_hub.utils._xet import XetConnectionInfo

PIECE = 4 * 1024 * 1024
_TICK = 0.2

_sessions: dict[tuple[int, float], Any] = {}
_sessions_lock = threading.Lock()


def upload(
    hub: HubClient, repo_id: str, permission: XetConnectionInfo, files: Sequence[FileToPut], meter: Meter
) -> dict[str, str]:
    """Send the files' chunks that the store lacks; the Xet hash of each path, of the bytes that were read here."""
    commit = _new_commit(hub, repo_id, permission)
    handles = {file.path: commit.start_upload_file(str(file.source), sha256=file.sha256) for file in files}
    part = f"{repo_id} by Xet"
    _finish(hub, repo_id, commit, lambda done: meter.at(part, done))
    meter.at(part, sum(file.size for file in files))
    return {path: handle.result().xet_info.hash for path, handle in handles.items()}


def send_ahead(hub: HubClient, repo_id: str, permission: XetConnectionInfo, file: GrowingFile) -> None:
    """Send the chunks of a file while it grows. Raises Stopped and StorageErrors, and whatever `file.wait` raises."""
    from hf_xet import SKIP_SHA256  # type: ignore[import-untyped]

    commit = _new_commit(hub, repo_id, permission)
    stream = commit.start_upload_stream(name=file.path.name, sha256=SKIP_SHA256)
    try:
        position = 0
        while position < file.size:
            there = min(file.wait(position, 1.0), file.size)
            if there > position:
                position = _write(hub, repo_id, stream, file, position, there)
        _guarded(hub, repo_id, stream.finish)
    except BaseException:
        stream.abort()
        commit.abort()
        raise
    _finish(hub, repo_id, commit, lambda _done: None)


def _write(hub: HubClient, repo_id: str, stream: Any, file: GrowingFile, start: int, end: int) -> int:
    with file.path.open("rb") as reader:
        reader.seek(start)
        while start < end and (data := reader.read(min(PIECE, end - start))):
            _guarded(hub, repo_id, lambda data=data: stream.write(data))  # type: ignore[misc]
            start += len(data)
    return start


def _session(timeout: float) -> Any:
    """One a process: it holds threads and connections, which don't survive a fork."""
    from hf_xet import XetConfig, XetSession

    with _sessions_lock:
        key = (os.getpid(), timeout)
        if key not in _sessions:
            seconds = f"{max(1, round(timeout))}s"
            config = XetConfig().with_config(
                {
                    "client.read_timeout": seconds,
                    "client.connect_timeout": seconds,
                    "client.retry_base_delay": "1s",
                    "client.retry_max_attempts": 4,
                    "client.retry_max_duration": f"{max(2, round(2 * timeout))}s",
                    "telemetry.enabled": False,
                }
            )
            _sessions[key] = XetSession(config)
        return _sessions[key]


def _new_commit(hub: HubClient, repo_id: str, permission: XetConnectionInfo) -> Any:
    from huggingface_hub.utils._xet import xet_headers_without_auth

    return _guarded(
        hub,
        repo_id,
        lambda: _session(hub.place.timeout).new_upload_commit(
            endpoint=permission.endpoint,
            token=permission.access_token,
            token_expiry_unix_secs=permission.expiration_unix_epoch,
            token_refresh_url=hub.write_token_url(repo_id),
            token_refresh_headers=hub.headers,
            custom_headers=xet_headers_without_auth(hub.headers),
        ),
    )


def _finish(hub: HubClient, repo_id: str, commit: Any, report: Callable[[int], None]) -> None:
    """Wait until all is sent, in a thread, so that `report` may stop us and a standstill is noticed."""
    ended, failures = threading.Event(), []

    def wait() -> None:
        try:
            commit.wait_to_finish()
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits for this one
            failures.append(error)
        finally:
            ended.set()

    threading.Thread(target=wait, name="hub-upload", daemon=True).start()
    try:
        _watch(hub, commit, ended, report)
    except BaseException:
        commit.abort()
        ended.wait(_TICK)
        raise
    if failures:
        _raise_real(hub, repo_id, failures[0])


def _watch(hub: HubClient, commit: Any, ended: threading.Event, report: Callable[[int], None]) -> None:
    last, since = None, time.monotonic()
    while not ended.wait(_TICK):
        now = commit.progress()
        figures = (now.total_bytes_completed, now.total_transfer_bytes_completed)
        if figures != last:
            last, since = figures, time.monotonic()
        elif time.monotonic() - since > 3 * hub.place.timeout:
            raise StorageUnavailableError(f"Hugging Face took nothing more for account {hub.name}; it was given up.")
        report(now.total_bytes_completed)


def _guarded(hub: HubClient, repo_id: str, step: Callable[[], Any]) -> Any:
    try:
        return step()
    except Exception as error:  # noqa: BLE001 - hf_xet raises builtin exceptions of many kinds
        _raise_real(hub, repo_id, error)


def _raise_real(hub: HubClient, repo_id: str, error: BaseException) -> None:
    """hf_xet's errors have lost what the server said: ask the Hub itself, which says it again if it still holds."""
    with translated(hub.name):
        if not isinstance(error, Exception):
            raise error
        hub.write_token(repo_id)
    raise StorageUnavailableError(
        f"The upload to account {hub.name} on Hugging Face broke off ({type(error).__name__})."
    ) from None
