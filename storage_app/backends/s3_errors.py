"""What S3 services answer when they don't do what they are asked, as storage errors for people.

The codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, and what Ceph, MinIO and others add.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime

from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ParamValidationError,
    ReadTimeoutError,
    SSLError,
)
from botocore.parsers import ResponseParserError

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


class UploadGoneError(StorageUnavailableError):
    """The account has forgotten a multipart upload: it was completed, aborted or too old."""


class UnsupportedError(StorageError):
    """The service doesn't know this operation."""


class UnsetError(StorageError):
    """A bucket has no such setting."""


class RangeError(StorageError):
    """There is nothing at that position of the object."""


CLOCK_SECONDS = 15 * 60
"""By how much the clocks may differ."""
CLOCK = "its clock and this host's differ by more than 15 minutes. Set this host's clock; the job goes on by itself"

Said = tuple[type[StorageError], str]

AUTH: Said = (StorageAuthError, "it refuses our key or what the key may do. Check the key and its permissions")
REGION: Said = (StorageAuthError, "the bucket lies in another region. Set the account's region")
FULL: Said = (StorageFullError, "it has no room left, or its quota is used up. Free some space or raise the quota")
TOO_LARGE: Said = (FileTooLargeError, "it doesn't take a file as large as this one")
RATE: Said = (StorageRateError, "it asks us to slow down")
BUSY: Said = (StorageUnavailableError, "it is busy or out of order. The job tries again by itself")
NO_BUCKET: Said = (StorageUnavailableError, "the bucket does not exist. `manage.py ensure_bucket` creates it")
MISSING: Said = (ObjectMissingError, "there is no such object")
DAMAGED: Said = (ContentMismatchError, "what arrived there is not what was sent")
CHANGED: Said = (ContentMismatchError, "the object was replaced by another one meanwhile")
GONE: Said = (UploadGoneError, "it has forgotten the upload")
UNSUPPORTED: Said = (UnsupportedError, "it does not offer this operation")

CODES: dict[str, Said] = {
    **dict.fromkeys(
        (
            "AccessDenied",
            "AccountProblem",
            "AllAccessDisabled",
            "ExpiredToken",
            "InvalidAccessKeyId",
            "InvalidSecurity",
            "InvalidToken",
            "NotSignedUp",
            "SignatureDoesNotMatch",
            "Unauthorized",
            "UserSuspended",
        ),
        AUTH,
    ),
    **dict.fromkeys(
        ("AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect"), REGION
    ),
    **dict.fromkeys(
        (
            "InsufficientCapacity",
            "InsufficientStorage",
            "NotEnoughSpace",
            "QuotaExceeded",
            "ServiceQuotaExceededException",
            "StorageFull",
            "StorageQuotaExceeded",
            "XMinioAdminBucketQuotaExceeded",
            "XMinioStorageFull",
        ),
        FULL,
    ),
    "EntityTooLarge": TOO_LARGE,
    **dict.fromkeys(
        (
            "BandwidthLimitExceeded",
            "RequestLimitExceeded",
            "RequestThrottled",
            "SlowDown",
            "SlowDownRead",
            "SlowDownWrite",
            "Throttling",
            "ThrottlingException",
            "TooManyRequests",
        ),
        RATE,
    ),
    **dict.fromkeys(("InternalError", "OperationAborted", "RequestTimeout", "ServiceUnavailable"), BUSY),
    "NoSuchBucket": NO_BUCKET,
    "BucketAlreadyExists": (StorageAuthError, "a bucket of that name belongs to somebody else. Choose another name"),
    **dict.fromkeys(
        ("NoSuchBucketPolicy", "NoSuchCORSConfiguration", "NoSuchPublicAccessBlockConfiguration"),
        (UnsetError, "the bucket has no such setting"),
    ),
    "NoSuchKey": MISSING,
    "NoSuchUpload": GONE,
    **dict.fromkeys(("BadDigest", "IncompleteBody", "InvalidDigest", "XAmzContentSHA256Mismatch"), DAMAGED),
    "PreconditionFailed": CHANGED,
    "InvalidRange": (RangeError, "there is nothing at that position"),
    "RequestTimeTooSkewed": (StorageUnavailableError, CLOCK),
    **dict.fromkeys(("MethodNotAllowed", "NotImplemented"), UNSUPPORTED),
}

STATUSES: dict[int, Said] = {
    301: REGION,
    307: REGION,
    401: AUTH,
    403: AUTH,
    404: MISSING,
    405: UNSUPPORTED,
    412: CHANGED,
    413: TOO_LARGE,
    429: RATE,
    501: UNSUPPORTED,
    507: FULL,
}


def storage_error(error: Exception, place: str, secrets: Sequence[str]) -> StorageError:
    """The storage error for what boto3 raised. `place` begins its sentence; none of `secrets` is in it."""
    if isinstance(error, ClientError):
        return _answered(error, place, secrets)
    if isinstance(error, ResponseParserError):
        return not_s3(place)
    if isinstance(error, ParamValidationError):
        return StorageError(f"{place}: its name or settings are not valid. Correct them at the account.")
    return StorageUnavailableError(f"{place} {_transport(error)}. The job tries again by itself.")


def _transport(error: Exception) -> str:
    if isinstance(error, SSLError):
        return "has no certificate that this host trusts, or broke off TLS"
    if isinstance(error, EndpointConnectionError | ConnectTimeoutError):
        return "can't be reached"
    if isinstance(error, ReadTimeoutError):
        return "fell silent"
    return f"broke the connection off ({type(error).__name__})"


def not_s3(place: str) -> StorageUnavailableError:
    """Something else answers there, such as a log-in page: it must not be taken for an empty account."""
    return StorageUnavailableError(f"{place}: what answers there is not an S3 service. Check the endpoint.")


def _answered(error: ClientError, place: str, secrets: Sequence[str]) -> StorageError:
    details, about = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
    code, message = str(details.get("Code") or ""), str(details.get("Message") or "")
    status, headers = int(about.get("HTTPStatusCode") or 0), about.get("HTTPHeaders", {})
    if status in {302, 404} and not code.isalpha() and not error.operation_name.startswith("Head"):
        return not_s3(place)
    kind, text = _said(code, message, status, headers)
    shown = f"{code}: {message}" if message and kind in {StorageError, StorageAuthError} else code or str(status)
    for secret in filter(None, secrets):
        shown = shown.replace(secret, "…")
    said = kind(f"{place}: {text} ({shown}).")
    if isinstance(said, StorageRateError):
        said.retry_after = _seconds(headers.get("retry-after", ""))
    return said


def _said(code: str, message: str, status: int, headers: Mapping[str, str]) -> Said:
    if status in {401, 403} and code.isdigit() and _clocks_differ(headers.get("date", "")):
        return StorageUnavailableError, CLOCK
    if code == "AccessDenied" and "cap exceeded" in message:  # Backblaze
        return FULL
    known = CODES.get(code) or STATUSES.get(status)
    if known:
        return known
    return BUSY if status >= 500 else (StorageError, "it refuses the request")


def _clocks_differ(date: str) -> bool:
    """By the Date header of an answer without a body: a HEAD request isn't told why."""
    try:
        return abs(parsedate_to_datetime(date).timestamp() - time.time()) > CLOCK_SECONDS
    except ValueError:
        return False


def _seconds(retry_after: str) -> float | None:
    """RFC 9110 §10.2.3: seconds, or a date."""
    if retry_after.isdigit():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return None
