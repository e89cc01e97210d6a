"""Storage accounts that the environment describes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection
from django.test import Client

from archive_site import account_env
from storage_app.accounts import Imported, ensure_accounts, next_index, place_of
from storage_app.models import StorageAccount, VideoStore
from tests.archive import KEY, archive, make_account

SPACES = {
    "SPACES_ACCESS_KEY": "DO00KEY",
    "SPACES_SECRET_KEY": "spaces-secret-value",
    "SPACES_BUCKET": "films",
    "SPACES_ENDPOINT": "https://sgp1.digitaloceanspaces.com/",
    "SPACES_REGION": "sgp1",
    "SPACES_CDN": "films.sgp1.cdn.digitaloceanspaces.com",
}
AWS = {
    "AWS_ACCESS_KEY_ID": "AKIA1",
    "AWS_SECRET_ACCESS_KEY": "aws-secret-value",
    "AWS_STORAGE_BUCKET_NAME": "my-films",
    "AWS_S3_REGION_NAME": "eu-central-1",
}

Environment = Callable[..., None]


def hub(*numbers: int) -> dict[str, str]:
    """The pairs of these numbers."""
    tokens = {f"HF_TOKEN_STORAGE_{n}": f"hf_secret_{n}" for n in numbers}
    return {**tokens, **{f"HF_STORAGE_USERNAME_{n}": f"user{n}" for n in numbers}}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> Environment:
    """Sets variables (None removes one) and reads the accounts as the settings do."""
    settings.REELKEEP_DATA = tmp_path
    settings.LOCAL_STORAGE_DEFAULT = tmp_path / "storage" / "1"

    def set_them(variables: dict[str, str | None] | dict[str, str], folders: list[Path] | None = None) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value) if value is not None else monkeypatch.delenv(name)
        settings.HUB_ACCOUNTS = account_env.hub_accounts(tmp_path)
        settings.BUCKET_ACCOUNTS = account_env.bucket_accounts(tmp_path)
        settings.LOCAL_STORAGE_PATHS = folders or []

    return set_them


def accounts() -> list[tuple[int, str, str]]:
    return list(StorageAccount.objects.values_list("index", "kind", "username"))


def ensure(*, made: int | None = None) -> Imported:
    found = ensure_accounts()
    assert made is None or len(found.made) == made
    return found


pytestmark = pytest.mark.django_db


# --- Numbers ---


def test_pairs_become_the_accounts_of_their_numbers(environment: Environment) -> None:
    environment(hub(1, 2, 5))
    assert ensure().remarks == []
    assert accounts() == [(n, "huggingface", f"user{n}") for n in (1, 2, 5)]


def test_a_token_is_named_and_not_copied(environment: Environment) -> None:
    environment({**hub(1), **SPACES, **AWS})
    ensure()
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(account::text, ' ') FROM storage_account account")
        everything = cursor.fetchone()[0]
    assert "HF_TOKEN_STORAGE_1" in everything
    assert not any(secret in everything for secret in ("hf_secret_1", "spaces-secret-value", "aws-secret-value"))


def test_buckets_and_folders_come_after_the_last_pair(environment: Environment, tmp_path: Path) -> None:
    environment({**hub(1, 4), **SPACES, **AWS}, [tmp_path / "a", tmp_path / "b"])
    ensure(made=6)
    assert accounts() == [
        (1, "huggingface", "user1"), (4, "huggingface", "user4"), (5, "s3", "films"), (6, "s3", "my-films"),
        (7, "local", "local7"), (8, "local", "local8"),
    ]  # fmt: skip


def test_nothing_is_made_twice(environment: Environment, tmp_path: Path) -> None:
    environment({**hub(1, 2), **SPACES, **AWS}, [tmp_path / "a"])
    ensure(made=5)
    before = list(StorageAccount.objects.values())
    assert ensure(made=0).remarks == []
    assert list(StorageAccount.objects.values()) == before


def test_a_pair_that_comes_later_takes_its_number_if_it_is_free(environment: Environment) -> None:
    environment({**hub(1, 3), **SPACES})
    ensure()
    environment(hub(2))
    ensure(made=1)
    assert accounts() == [
        (1, "huggingface", "user1"), (2, "huggingface", "user2"), (3, "huggingface", "user3"), (4, "s3", "films"),
    ]  # fmt: skip


def test_a_number_that_is_taken_stays_as_it_is_and_the_pair_gets_the_next(
    environment: Environment, tmp_path: Path
) -> None:
    video = archive(KEY, [make_account(tmp_path, 1)])
    environment({**hub(1, 2), "HF_STORAGE_USERNAME_1": "first"})
    (remark,) = ensure(made=2).remarks
    assert accounts() == [(1, "local", "user1"), (2, "huggingface", "user2"), (3, "huggingface", "first")]
    assert "Storage account 1 is user1 (Local disk) already and stays so" in remark
    assert "HF_TOKEN_STORAGE_1 has become account 3" in remark
    video.refresh_from_db()
    assert StorageAccount.objects.get(pk=video.hf_account).kind == "local"


def test_a_number_that_an_archived_video_names_goes_to_nobody_else(environment: Environment) -> None:
    VideoStore.objects.create(
        mal_id=1, episode=1, provider="p", file_key="k", hf_account=5, hf_repo="r", hf_path="p", hf_direct_url="",
        stream_url="",
    )  # fmt: skip
    environment({**hub(1), **SPACES})
    ensure(made=2)
    assert [index for index, _, _ in accounts()] == [1, 6]
    assert next_index() == 7


# --- The default folder ---


def test_with_nothing_said_there_is_one_folder(environment: Environment, tmp_path: Path) -> None:
    environment({})
    (account,) = ensure().made
    assert (account.index, account.root) == (1, str(tmp_path / "storage" / "1"))
    assert ensure(made=0).remarks == []


@pytest.mark.parametrize("variables", [hub(1), SPACES, AWS])
def test_with_other_accounts_there_is_no_default_folder(environment: Environment, variables: dict[str, str]) -> None:
    environment(variables)
    ensure(made=1)
    assert not StorageAccount.objects.filter(kind="local").exists()


@pytest.mark.parametrize(
    ("variables", "numbers"),
    [(SPACES, [(1, "local"), (2, "s3")]), (hub(1), [(1, "huggingface"), (2, "local")]), ({}, [(1, "local")])],
)
def test_a_default_folder_that_holds_something_comes_back_with_a_lost_database(
    environment: Environment, tmp_path: Path, variables: dict[str, str], numbers: list[tuple[int, str]]
) -> None:
    (tmp_path / "storage" / "1" / "weaboo-1").mkdir(parents=True)
    environment(variables)
    ensure(made=len(numbers))
    assert [(index, kind) for index, kind, _ in accounts()] == numbers
    assert StorageAccount.objects.get(kind="local").root == str(tmp_path / "storage" / "1")
    ensure(made=0)


def test_a_default_folder_whose_account_an_operator_has_deleted_stays_none(
    environment: Environment, tmp_path: Path
) -> None:
    (tmp_path / "storage" / "1" / "weaboo-1").mkdir(parents=True)
    make_account(tmp_path, 4)
    environment(SPACES)
    ensure(made=1)
    assert not StorageAccount.objects.filter(root=str(tmp_path / "storage" / "1")).exists()


def test_a_default_folder_without_a_copy_is_none(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "storage" / "1" / ".parts").mkdir(parents=True)
    environment(SPACES)
    ensure(made=1)
    assert accounts() == [(1, "s3", "films")]


def test_an_operator_who_has_made_accounts_gets_no_default_folder(environment: Environment, tmp_path: Path) -> None:
    make_account(tmp_path, 4)
    environment({})
    ensure(made=0)


def test_folders_that_are_asked_for_are_made_beside_the_others(environment: Environment, tmp_path: Path) -> None:
    environment(hub(1), [tmp_path / "a", tmp_path / "a"])
    ensure(made=2)
    assert StorageAccount.objects.get(index=2).root == str(tmp_path / "a")


# --- What has changed ---


def test_another_user_name_is_reported_and_not_taken(environment: Environment) -> None:
    environment(hub(1))
    ensure()
    environment({"HF_STORAGE_USERNAME_1": "somebody"})
    (remark,) = ensure(made=0).remarks
    assert remark.startswith("HF_STORAGE_USERNAME_1 is somebody, but storage account 1 has user1 and stays so")
    assert accounts() == [(1, "huggingface", "user1")]


@pytest.mark.parametrize(
    ("variable", "value", "column"),
    [("SPACES_BUCKET", "other", "bucket"), ("SPACES_ENDPOINT", "https://other.test", "endpoint"),
     ("SPACES_REGION", "ams3", "region")],
)  # fmt: skip
def test_another_bucket_is_reported_and_not_taken(
    environment: Environment, variable: str, value: str, column: str
) -> None:
    environment(SPACES)
    ensure()
    before = StorageAccount.objects.values().get()
    environment({variable: value})
    (remark,) = ensure(made=0).remarks
    assert f"The {column} of SPACES_* is {value}" in remark
    assert StorageAccount.objects.values().get() == before


def test_a_new_access_key_goes_with_its_secret(environment: Environment) -> None:
    environment(SPACES)
    ensure()
    environment({"SPACES_ACCESS_KEY": "DO00NEW", "SPACES_SECRET_KEY": "new-secret"})
    (remark,) = ensure(made=0).remarks
    assert StorageAccount.objects.get().access_key == "DO00NEW"
    assert "new-secret" not in remark


def test_a_token_that_is_gone_is_reported_and_its_account_kept(environment: Environment) -> None:
    environment(hub(1, 2))
    ensure()
    environment({"HF_TOKEN_STORAGE_2": None, "HF_STORAGE_USERNAME_2": None})
    (remark,) = ensure(made=0).remarks
    assert "account 2 · user2 can't be read: the environment variable HF_TOKEN_STORAGE_2 is not set" in remark
    StorageAccount.objects.filter(index=2).update(enabled=False)
    assert ensure(made=0).remarks == []


def test_an_account_that_an_operator_made_is_the_pairs_own(environment: Environment) -> None:
    StorageAccount.objects.create(index=1, kind="huggingface", username="User1", secret="sealed")
    environment(hub(1))
    assert ensure(made=0).remarks == []


def test_an_account_that_an_operator_made_under_another_number_is_told_of(environment: Environment) -> None:
    StorageAccount.objects.create(index=7, kind="huggingface", username="user1", secret="sealed")
    environment(hub(1))
    assert "which is storage account 7 already" in ensure(made=0).remarks[0]


def test_a_name_that_another_kind_has_is_told_of(environment: Environment, tmp_path: Path) -> None:
    make_account(tmp_path, 9)
    environment({"HF_TOKEN_STORAGE_1": "t", "HF_STORAGE_USERNAME_1": "user9"})
    assert "has the name user9 already" in ensure(made=0).remarks[0]


def test_a_bucket_takes_another_name_when_its_own_is_taken(environment: Environment) -> None:
    environment({"HF_TOKEN_STORAGE_1": "t", "HF_STORAGE_USERNAME_1": "films", **SPACES})
    ensure(made=2)
    assert StorageAccount.objects.get(kind="s3").username == "films-2"


# --- Reading the environment ---


def test_spaces_are_read_as_the_old_system_wrote_them(environment: Environment) -> None:
    environment(SPACES)
    (account,) = ensure().made
    assert (account.endpoint, account.bucket, account.region) == (
        "https://sgp1.digitaloceanspaces.com",
        "films",
        "sgp1",
    )
    assert account.public_url == "https://films.sgp1.cdn.digitaloceanspaces.com"
    assert (account.access_key, account.secret_env) == ("DO00KEY", "SPACES_SECRET_KEY")
    assert place_of(account) == "bucket films at https://sgp1.digitaloceanspaces.com"


@pytest.mark.parametrize("endpoint", ["", "ams3.digitaloceanspaces.com"])
def test_spaces_without_a_whole_endpoint_are_digitaloceans(environment: Environment, endpoint: str) -> None:
    environment({**SPACES, "SPACES_ENDPOINT": endpoint, "SPACES_REGION": "ams3"})
    assert ensure().made[0].endpoint == "https://ams3.digitaloceanspaces.com"


def test_credentials_for_amazon_alone_are_for_other_programs(environment: Environment, tmp_path: Path) -> None:
    environment({name: value for name, value in AWS.items() if name != "AWS_STORAGE_BUCKET_NAME"})
    assert ensure().made[0].kind == "local"


def test_secrets_may_be_files(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "t").write_text("token")
    environment({"HF_TOKEN_STORAGE_3_FILE": str(tmp_path / "t"), "HF_STORAGE_USERNAME_3": "user3"})
    ensure(made=1)
    assert accounts() == [(3, "huggingface", "user3")]


def test_secrets_may_lie_in_the_data_folder(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "HF_TOKEN_STORAGE_2").write_text("token")
    environment({"HF_STORAGE_USERNAME_2": "user2"})
    assert ensure(made=1).remarks == []


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"HF_TOKEN_STORAGE_2": "t"}, "HF_TOKEN_STORAGE_2 is set, but HF_STORAGE_USERNAME_2 is not"),
        ({"HF_STORAGE_USERNAME_2": "u"}, "HF_STORAGE_USERNAME_2 is set, but HF_TOKEN_STORAGE_2 is not"),
        ({"HF_TOKEN_STORAGE_0": "t", "HF_STORAGE_USERNAME_0": "u"}, "expected HF_TOKEN_STORAGE_1"),
        ({"HF_TOKEN_STORAGE_01": "t", "HF_STORAGE_USERNAME_01": "u"}, "expected HF_TOKEN_STORAGE_1"),
        ({"HF_TOKEN_STORAGE_9999999999": "t"}, "expected HF_TOKEN_STORAGE_1"),
        ({**hub(1), "HF_STORAGE_USERNAME_1": "a/b"}, "HF_STORAGE_USERNAME_1='a/b': expected a Hugging Face user name"),
        ({**hub(1), "HF_STORAGE_USERNAME_1": "-a"}, "HF_STORAGE_USERNAME_1"),
        ({**hub(1), "HF_STORAGE_USERNAME_1": "x" * 101}, "HF_STORAGE_USERNAME_1"),
        ({**hub(1, 3), "HF_STORAGE_USERNAME_3": "USER1"}, "HF_STORAGE_USERNAME_3 and HF_STORAGE_USERNAME_1 name the"),
        ({**hub(1), "HF_TOKEN_STORAGE_1_FILE": "/t"}, "HF_TOKEN_STORAGE_1 and HF_TOKEN_STORAGE_1_FILE are both set"),
        ({**SPACES, "SPACES_SECRET_KEY": ""}, "SPACES_[*] are set in part, but SPACES_SECRET_KEY is not"),
        ({"SPACES_BUCKET": "b"}, "SPACES_ACCESS_KEY and SPACES_SECRET_KEY and SPACES_ENDPOINT are not"),
        ({**SPACES, "SPACES_ENDPOINT": "ftp://x.test"}, "SPACES_ENDPOINT: This must be an http or https URL"),
        ({**SPACES, "SPACES_ENDPOINT": "https://me:pw@x.test"}, "SPACES_ENDPOINT: A URL with a user name or password"),
        ({"AWS_STORAGE_BUCKET_NAME": "b", "AWS_ACCESS_KEY_ID": "a"}, "AWS_SECRET_ACCESS_KEY is not"),
        (
            {**SPACES, **AWS, "AWS_STORAGE_BUCKET_NAME": "films", "AWS_S3_ENDPOINT_URL": SPACES["SPACES_ENDPOINT"]},
            "name the same bucket",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(
    environment: Environment, variables: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=sentence) as caught:
        environment(variables)
    assert not any(secret in str(caught.value) for secret in ("hf_secret", "spaces-secret", "aws-secret", "me:pw"))


def test_half_a_pair_stops_every_command_with_a_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=django_settings.BASE_DIR, capture_output=True, text=True,
        env={**os.environ, "HF_TOKEN_STORAGE_7": "hf_secret_7"}, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "HF_TOKEN_STORAGE_7 is set, but HF_STORAGE_USERNAME_7 is not" in done.stderr
    assert "hf_secret_7" not in done.stderr + done.stdout


# --- Together ---


def test_prepare_makes_them_and_says_so(
    environment: Environment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_account(tmp_path, 2)
    environment({**hub(2), **SPACES}, [])
    call_command("prepare")
    said = capsys.readouterr()
    assert "made storage account 3 · films: bucket films at https://sgp1" in said.out
    assert "HF_TOKEN_STORAGE_2" not in said.out
    assert "has the name user2 already" in said.err


@pytest.mark.django_db(transaction=True)
def test_hosts_that_start_at_once_make_each_account_once(environment: Environment, tmp_path: Path) -> None:
    environment({**hub(1, 2), **SPACES}, [tmp_path / "a"])
    failures: list[Exception] = []
    barrier = threading.Barrier(6)

    def host() -> None:
        try:
            barrier.wait(10)
            ensure_accounts()
        except Exception as error:  # noqa: BLE001 (told to the test below)
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=host) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [index for index, _, _ in accounts()] == [1, 2, 3, 4]


@pytest.mark.django_db(transaction=True)
def test_health_counts_the_accounts_that_the_environment_asks_for(environment: Environment) -> None:
    environment(hub(1, 2, 3, 4, 5))
    ensure_accounts()
    StorageAccount.objects.filter(index=5).update(enabled=False)
    assert Client().get("/health").json()["storage_accounts"] == 4


def test_a_secrets_folder_that_is_none_is_named(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("a file in its place")
    with pytest.raises(ImproperlyConfigured, match="secrets: Not a directory"):
        environment({})
