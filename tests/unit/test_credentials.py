"""Secrets of storage accounts: sealed, named by a variable, and never told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from storage_app.backends.base import StorageAuthError
from storage_app.credentials import seal, secret_of, without_secret
from storage_app.models import StorageAccount

TOKEN = "hf_aVeryLongTokenThatNobodyMaySee"


def account(**columns: Any) -> StorageAccount:
    return StorageAccount(
        **{"index": 3, "kind": "huggingface", "username": "user3", "secret": "", "secret_env": "", **columns}
    )


def test_a_sealed_secret_opens_and_does_not_show() -> None:
    sealed = seal(TOKEN)
    assert secret_of(account(secret=sealed)) == TOKEN
    assert TOKEN not in sealed


def test_the_same_secret_is_sealed_differently_each_time() -> None:
    assert seal(TOKEN) != seal(TOKEN)


def test_an_account_without_a_secret_has_the_empty_one() -> None:
    assert secret_of(account()) == ""


def test_a_key_is_changed_by_putting_the_new_one_first(settings: Any) -> None:
    settings.CREDENTIALS_KEY = "old"
    before = seal(TOKEN)
    settings.CREDENTIALS_KEY = "new, old"
    after = seal(TOKEN)
    assert [secret_of(account(secret=sealed)) for sealed in (before, after)] == [TOKEN, TOKEN]
    settings.CREDENTIALS_KEY = "new"
    assert secret_of(account(secret=after)) == TOKEN
    with pytest.raises(StorageAuthError, match="another CREDENTIALS_KEY"):
        secret_of(account(secret=before))


@pytest.mark.parametrize(
    "damage", [lambda sealed: sealed[:-9], lambda sealed: "A" + sealed[1:], lambda _: "ü", str.lower]
)
def test_what_was_tampered_with_is_refused_and_not_quoted(damage: Any) -> None:
    broken = damage(seal(TOKEN))
    with pytest.raises(StorageAuthError) as caught:
        secret_of(account(secret=broken))
    assert (caught.value.account, broken in str(caught.value)) == (3, False)
    assert "3 · user3" in str(caught.value)


def test_without_any_key_nothing_is_sealed(settings: Any) -> None:
    settings.CREDENTIALS_KEY = " , "
    with pytest.raises(StorageAuthError, match="nothing to seal"):
        seal(TOKEN)


def test_a_secret_is_read_from_its_variable_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    named = account(secret_env="HF_TOKEN_STORAGE_3")
    with pytest.raises(StorageAuthError, match="HF_TOKEN_STORAGE_3 is not set on this host"):
        secret_of(named)
    monkeypatch.setenv("HF_TOKEN_STORAGE_3", f" {TOKEN}\n")
    assert secret_of(named) == TOKEN


def test_the_variable_may_name_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    monkeypatch.setenv("HF_TOKEN_STORAGE_3_FILE", str(tmp_path / "token"))
    assert secret_of(account(secret_env="HF_TOKEN_STORAGE_3")) == TOKEN


def test_the_secret_may_lie_with_the_other_secrets(settings: Any, tmp_path: Path) -> None:
    settings.REELKEEP_DATA = tmp_path
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "HF_TOKEN_STORAGE_3").write_text(TOKEN)
    assert secret_of(account(secret_env="HF_TOKEN_STORAGE_3")) == TOKEN


def test_a_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN_STORAGE_3_FILE", str(tmp_path / "none"))
    with pytest.raises(StorageAuthError, match=r"HF_TOKEN_STORAGE_3_FILE=.*No such file"):
        secret_of(account(secret_env="HF_TOKEN_STORAGE_3"))


def test_the_variable_goes_before_what_is_sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN_STORAGE_3", "from-the-environment")
    assert secret_of(account(secret=seal(TOKEN), secret_env="HF_TOKEN_STORAGE_3")) == "from-the-environment"


def test_what_a_service_repeats_is_blotted_out() -> None:
    sealed = account(secret=seal(TOKEN))
    assert without_secret(f"401: token {TOKEN} is unknown", sealed) == "401: token … is unknown"
    assert without_secret("401", account(secret="junk")) == "401"
    assert without_secret("401", account()) == "401"
