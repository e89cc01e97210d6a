"""What goes wrong at a Hugging Face Hub, as storage errors.

The client's own messages name URLs with signatures in them and are never passed on; of a Hub's own words (the
`X-Error-Message` header or the body's `error`) one line is kept, without URLs and tokens.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from storage_app.backends.base import (
    ContentMismatchError,
    FileTooLargeError,
    ObjectMissingError,
    StorageAuthError,
    StorageError,
    StorageFullError,
    StorageRateError,
    StorageUnavailableError,
)

if TYPE_CHECKING:
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

SKEW = 300
"""Seconds by which the two clocks may differ before that is named as the reason of a refusal."""

_FULL = re.compile(
    r"storage (limit|quota|space)|quota|exceeded|no (more )?(room|space)|upgrade (your|to)|payment", re.IGNORECASE
)
_HASH = re.compile(r"\b(sha-?256|oid|hash|checksum|size)\b", re.IGNORECASE)
_DIFFERS = re.compile(r"mismatch|differ|n.t match|not match|wrong|invalid", re.IGNORECASE)


class CopyRefusedError(StorageUnavailableError):
    """The Hub does not copy this file from the one repository to the other."""


@contextmanager
def translated(account: str) -> Iterator[None]:
    """Errors of the client, of its transports and of the Hub as StorageErrors about `account` (the user name)."""
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        if (found := storage_error(error, account)) is None:
            raise
        raise found from None  # the original's text may hold a signed URL


def storage_error(error: BaseException, account: str) -> StorageError | None:
    """What `error` means; None when it isn't about the Hub at all."""
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        return _answered(error, account)
    if isinstance(error, RuntimeError) and error.__cause__ is not None:  # an LFS upload: the reason lies within
        return storage_error(error.__cause__, account)
    if isinstance(error, ValueError) and "LFS batch API" in str(error):
        return _by_words(str(error), account)
    return _unanswered(error, account)


def _unanswered(error: BaseException, account: str) -> StorageError | None:
    import httpx2
    from huggingface_hub.errors import FileDuplicationError, HFValidationError

    if isinstance(error, HFValidationError):
        return StorageError(f"Hugging Face does not take this name for a repository of {account}.")
    if isinstance(error, FileDuplicationError):
        return CopyRefusedError(f"Hugging Face could not copy the file to {account} by itself.")
    if isinstance(error, httpx2.TimeoutException):
        return StorageUnavailableError(f"Hugging Face did not answer in time for account {account}.")
    if isinstance(error, httpx2.HTTPError | httpx2.InvalidURL | httpx2.StreamError | ConnectionError):
        return StorageUnavailableError(f"Hugging Face can't be reached for account {account} ({_kind(error)}).")
    return error if isinstance(error, StorageError) else None


def retry_after(response: httpx2.Response) -> float | None:
    """Seconds for which the Hub asks us to wait: its RateLimit header if nothing is left, else Retry-After."""
    from huggingface_hub.utils._http import parse_ratelimit_headers

    limit = parse_ratelimit_headers(response.headers)
    if response.status_code == 429 and limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    asked = response.headers.get("Retry-After", "").strip()
    if asked.isdigit():
        return float(asked)
    try:
        return max(0.0, parsedate_to_datetime(asked).timestamp() - time.time())
    except ValueError:
        return None


def _answered(error: HfHubHTTPError, account: str) -> StorageError:
    """By the status of the answer, and by the Hub's words where the status says too little."""
    from huggingface_hub.errors import DisabledRepoError, EntryNotFoundError, RevisionNotFoundError

    status, words = error.response.status_code, _words(error.server_message)
    if isinstance(error, DisabledRepoError):
        return StorageAuthError(f"Hugging Face has disabled the repository of account {account}. Ask its support.")
    if status == 413:
        return FileTooLargeError(f"Hugging Face takes no file as large as this one for {account}{_quoted(words)}.")
    if status in {402, 507} or (status in {400, 403, 422} and _FULL.search(words)):
        return _full(account, words)
    if status in {401, 403}:
        return _refused(error.response, account, words)
    if status == 404 or isinstance(error, EntryNotFoundError | RevisionNotFoundError):
        return ObjectMissingError(f"Account {account} has no such object on Hugging Face{_quoted(words)}.")
    return _slow_down(error.response, account) if status == 429 else _in_the_way(status, account, words)


def _in_the_way(status: int, account: str, words: str) -> StorageError:
    if status in {409, 412}:
        return StorageUnavailableError(f"Another commit to the same repository of {account} was in the way.")
    if _HASH.search(words) and _DIFFERS.search(words):
        return ContentMismatchError(f"Hugging Face got other bytes than account {account} was sent{_quoted(words)}.")
    return StorageUnavailableError(f"Hugging Face answered {status} for account {account}{_quoted(words)}.")


def _by_words(text: str, account: str) -> StorageError:
    words = _words(text.split("`")[1] if text.count("`") > 1 else "")
    if _FULL.search(words):
        return _full(account, words)
    if re.search(r"forbidden|permission|unauthorized|credentials", words, re.IGNORECASE):
        return StorageAuthError(f"Hugging Face refuses the upload to account {account}{_quoted(words)}.")
    return StorageUnavailableError(f"Hugging Face did not take a file for account {account}{_quoted(words)}.")


def _full(account: str, words: str) -> StorageError:
    return StorageFullError(
        f"Account {account} has no room left on Hugging Face{_quoted(words)}. Free some space or raise its plan; "
        "the job goes on by itself."
    )


def _refused(response: httpx2.Response, account: str, words: str) -> StorageError:
    if "Authorization" not in response.request.headers:
        return StorageUnavailableError(
            f"Hugging Face's file server took a signed address of account {account} no more; it is tried anew."
        )
    minutes = _skew(response) / 60
    if abs(minutes) > SKEW / 60:
        return StorageAuthError(
            f"Hugging Face refuses account {account}, and this host's clock is {abs(minutes):.0f} minutes "
            f"{'ahead of' if minutes > 0 else 'behind'} its clock. Set the clock right, then test the account."
        )
    return StorageAuthError(
        f"Hugging Face refuses the token of account {account} ({response.status_code}){_quoted(words)}. "
        "Enter a valid token with write permission."
    )


def _skew(response: httpx2.Response) -> float:
    """Seconds that this host's clock is ahead of the answer's."""
    try:
        return time.time() - parsedate_to_datetime(response.headers.get("Date", "")).timestamp()
    except ValueError:
        return 0.0


def _slow_down(response: httpx2.Response, account: str) -> StorageError:
    error = StorageRateError(f"Hugging Face asks us to slow down for account {account}; the job goes on by itself.")
    error.retry_after = retry_after(response)
    return error


def _words(text: str | None) -> str:
    """One line of what a Hub said, without what could be a secret."""
    line = " ".join((text or "").split())
    line = re.sub(r"https?://\S+", "(URL)", line)
    line = re.sub(r"\b(hf|api)_\w+|(?i:bearer)\s+\S+|\b[\w-]{40,}\b", "(secret)", line)
    return line[:200].rstrip(". ")


def _quoted(words: str) -> str:
    return f": “{words}”" if words else ""


def _kind(error: BaseException) -> str:
    """ConnectError → connect error."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()
