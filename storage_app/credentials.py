"""The secrets of storage accounts: sealed in the database, or named by an environment variable.

Sealed with Fernet (AES-128-CBC and HMAC-SHA256, https://github.com/fernet/spec) under CREDENTIALS_KEY. It may hold
several keys separated by commas: the first one seals, all of them open, so that a key can be changed.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from archive_site import env
from storage_app.backends.base import StorageAuthError

if TYPE_CHECKING:
    from storage_app.models import StorageAccount

HIDDEN = "…"


def seal(secret: str) -> str:
    """What may lie in the database. Raises StorageAuthError when there is no key to seal with."""
    return _box().encrypt(secret.encode()).decode()


def secret_of(account: StorageAccount) -> str:
    """The account's token or secret key; "" when it has none. Raises StorageAuthError when it can't be had here.

    A variable may also be given as a file, in the ways that `archive_site.env.secret` knows.
    """
    if account.secret_env:
        try:
            value = env.secret(account.secret_env, settings.REELKEEP_DATA)
        except ImproperlyConfigured as error:
            raise _no_secret(account, str(error).rstrip(".")) from None
        if not value:
            raise _no_secret(account, f"the environment variable {account.secret_env} is not set on this host")
        return value
    if not account.secret:
        return ""
    try:
        return _box().decrypt(account.secret.encode()).decode()
    except (InvalidToken, ValueError):
        raise _no_secret(account, "it was sealed under another CREDENTIALS_KEY") from None


def without_secret(text: str, account: StorageAccount) -> str:
    """The text with the account's secret blotted out: for what a service said, which may have repeated it."""
    try:
        secret = secret_of(account)
    except StorageAuthError:
        return text
    return text.replace(secret, HIDDEN) if secret else text


def _no_secret(account: StorageAccount, why: str) -> StorageAuthError:
    error = StorageAuthError(f"The secret of account {account} can't be read: {why}. Set it, or enter the secret anew.")
    error.account = account.index
    return error


def _box() -> MultiFernet:
    keys = [key.strip() for key in settings.CREDENTIALS_KEY.split(",") if key.strip()]
    if not keys:
        raise StorageAuthError("CREDENTIALS_KEY and SECRET_KEY are empty: there is nothing to seal a secret with.")
    return MultiFernet([Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest())) for key in keys])
