"""Storage accounts that the environment describes (CONTRACT §2.4, §3). Secrets are named here, never held.

A description that can't be meant stops the start with a sentence that names the variable.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from archive_site import env

ACCOUNT_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
"""What may stand before the slash in a repository's name."""

SECRET_NAME = re.compile(r"(?:HF_TOKEN|AWS|SPACES|STORAGE)_[A-Z0-9_]{1,100}")
"""Variables that an account may name as its secret: not those of the rest of the system."""

INDEX_MAX = 2**31 - 1
_NAME_LENGTH = 100
_TOKEN = "HF_TOKEN_STORAGE"  # noqa: S105 (its variable)
_USERNAME = "HF_STORAGE_USERNAME"


@dataclass(frozen=True)
class HubAccount:
    """`HF_TOKEN_STORAGE_<number>` and `HF_STORAGE_USERNAME_<number>`."""

    number: int
    username: str

    @property
    def username_variable(self) -> str:
        """Where the user name comes from."""
        return f"{_USERNAME}_{self.number}"

    @property
    def secret_variable(self) -> str:
        """Where the token comes from."""
        return f"{_TOKEN}_{self.number}"


@dataclass(frozen=True)
class BucketAccount:
    """A bucket of an S3-compatible service. `source` is how its variables begin: SPACES or AWS."""

    source: str
    bucket: str
    endpoint: str
    region: str
    public_url: str
    access_key: str
    secret_variable: str


def hub_accounts(data_folder: Path) -> tuple[HubAccount, ...]:
    """The pairs that are set, lowest number first; gaps are allowed."""
    tokens = _numbers(_TOKEN, data_folder, secret=True)
    names = _numbers(_USERNAME, data_folder, secret=False)
    for number in sorted(tokens ^ names):
        there, missing = (_TOKEN, _USERNAME) if number in tokens else (_USERNAME, _TOKEN)
        raise ImproperlyConfigured(
            f"{there}_{number} is set, but {missing}_{number} is not: a Hugging Face account needs both."
        )
    accounts = tuple(HubAccount(number, _username(f"{_USERNAME}_{number}")) for number in sorted(tokens))
    seen: dict[str, HubAccount] = {}
    for account in accounts:
        other = seen.setdefault(account.username.lower(), account)
        if other is not account:
            raise ImproperlyConfigured(
                f"{account.username_variable} and {other.username_variable} name the same user, {account.username}: "
                "two copies there would be one."
            )
    return accounts


def bucket_accounts(data_folder: Path) -> tuple[BucketAccount, ...]:
    """What SPACES_* describe, and AWS_* where AWS_STORAGE_BUCKET_NAME is set (other programs read the rest of them)."""
    found = []
    spaces = (
        env.text("SPACES_ACCESS_KEY"), env.secret("SPACES_SECRET_KEY", data_folder), env.text("SPACES_BUCKET"),
        env.text("SPACES_ENDPOINT"), env.text("SPACES_REGION"), env.text("SPACES_CDN"),
    )  # fmt: skip
    if any(spaces):
        found.append(_spaces(*spaces))
    aws = (
        env.text("AWS_ACCESS_KEY_ID"), env.secret("AWS_SECRET_ACCESS_KEY", data_folder),
        env.text("AWS_STORAGE_BUCKET_NAME"), env.text("AWS_S3_ENDPOINT_URL"), env.text("AWS_S3_REGION_NAME"),
    )  # fmt: skip
    if aws[2]:
        found.append(_aws(*aws))
    if len(found) == 2 and (found[0].endpoint, found[0].bucket) == (found[1].endpoint, found[1].bucket):
        raise ImproperlyConfigured("SPACES_BUCKET and AWS_STORAGE_BUCKET_NAME name the same bucket: keep one of them.")
    return tuple(found)


def checked_url(text: str) -> str:
    """An http or https URL without credentials, query or a slash at its end. Raises ValueError with a sentence."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("This is not a URL, for example https://s3.example.com.") from None
    if parts.scheme not in {"http", "https"} or not host or port == 0:
        raise ValueError("This must be an http or https URL, for example https://s3.example.com.")
    if parts.username is not None or parts.password is not None:
        raise ValueError("A URL with a user name or password in it is shown to everybody; leave them out.")
    if parts.query or parts.fragment or re.search(r"[\s\\\x00-\x1f\x7f]", text):
        raise ValueError("Leave out what follows a ? or #, and white space.")
    return text.rstrip("/")


def _spaces(access_key: str, secret: str, bucket: str, endpoint: str, region: str, cdn: str) -> BucketAccount:
    given = {
        "SPACES_ACCESS_KEY": access_key,
        "SPACES_SECRET_KEY": secret,
        "SPACES_BUCKET": bucket,
        "SPACES_ENDPOINT": endpoint or region,
    }
    _require(given, "SPACES_* are set in part")
    return BucketAccount(
        "SPACES", bucket, _url("SPACES_ENDPOINT", endpoint or f"{region}.digitaloceanspaces.com"), region,
        _url("SPACES_CDN", cdn) if cdn else "", access_key, "SPACES_SECRET_KEY",
    )  # fmt: skip


def _aws(access_key: str, secret: str, bucket: str, endpoint: str, region: str) -> BucketAccount:
    _require({"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret}, "AWS_STORAGE_BUCKET_NAME is set")
    return BucketAccount(
        "AWS", bucket, _url("AWS_S3_ENDPOINT_URL", endpoint) if endpoint else "", region, "",
        access_key, "AWS_SECRET_ACCESS_KEY",
    )  # fmt: skip


def _require(variables: dict[str, str], because: str) -> None:
    missing = [name for name, value in variables.items() if not value]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise ImproperlyConfigured(f"{because}, but {' and '.join(missing)} {verb} not: an S3 account needs them all.")


def _url(variable: str, value: str) -> str:
    """A host alone, as DigitalOcean's pages show it, is taken as https."""
    try:
        return checked_url(value if "://" in value else f"https://{value}")
    except ValueError as refusal:
        raise ImproperlyConfigured(f"{variable}: {refusal}") from None


def _username(variable: str) -> str:
    name = env.text(variable)
    if not ACCOUNT_NAME.fullmatch(name) or len(name) > _NAME_LENGTH:
        raise ImproperlyConfigured(
            f"{variable}={name!r}: expected a Hugging Face user name or organisation (letters, digits, . _ -)."
        )
    return name


def _numbers(prefix: str, data_folder: Path, *, secret: bool) -> set[int]:
    """The numbers for which PREFIX_<number> is set; secrets also by the other ways that env.secret knows."""
    ending = "(?:_FILE)?" if secret else ""
    names = [name for name, value in os.environ.items() if value.strip()]
    if secret:
        names += _kept_secrets(data_folder / "secrets")
    numbers = set()
    for name in names:
        match = re.fullmatch(rf"{prefix}_(.+?){ending}", name)
        if match is None:
            continue
        if not re.fullmatch(r"[1-9][0-9]{0,9}", match[1]) or int(match[1]) > INDEX_MAX:
            raise ImproperlyConfigured(f"{name}: expected {prefix}_1, {prefix}_2 and so on.")
        variable = f"{prefix}_{match[1]}"
        if not secret or env.secret(variable, data_folder):
            numbers.add(int(match[1]))
    return numbers


def _kept_secrets(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ImproperlyConfigured(f"{folder}: {error.strerror}.") from error
