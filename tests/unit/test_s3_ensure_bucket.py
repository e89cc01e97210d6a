"""manage.py ensure_bucket."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
import requests
from django.core.management import CommandError, call_command

from storage_app.backends import backend_for
from storage_app.backends.base import StorageAuthError
from storage_app.backends.s3 import S3Backend
from storage_app.credentials import seal
from storage_app.models import AccountKind, StorageAccount
from tests.servers.rgw import Rgw
from tests.servers.s3 import PATH, REPO, file_of, new_bucket, put
from tests.servers.s3_faults import Refuse, S3Faults

pytestmark = pytest.mark.django_db

Output = pytest.CaptureFixture[str]
ORIGIN = "https://films.example"


def make_account(rgw: Rgw, index: int = 1, **changes: Any) -> StorageAccount:
    settings = {
        "endpoint": rgw.endpoint,
        "bucket": f"b{uuid.uuid4().hex[:12]}",
        "access_key": rgw.access_key,
        "secret": seal(rgw.secret_key),
    }
    return StorageAccount.objects.create(
        index=index, kind=AccountKind.S3, username=f"s3-{index}", **{**settings, **changes}
    )


def backend_of(account: StorageAccount) -> S3Backend:
    backend = backend_for(account)
    assert isinstance(backend, S3Backend)
    return backend


def url_of(account: StorageAccount) -> str:
    return f"{account.endpoint}/{account.bucket}/{REPO}/{PATH}"


def test_it_creates_the_bucket_and_lets_browsers_read(rgw: Rgw, tmp_path: Path, capsys: Output) -> None:
    account, file = make_account(rgw), file_of(tmp_path, 1000)
    call_command("ensure_bucket")
    assert "created, reading from other origins allowed (CORS)" in capsys.readouterr().out
    put(backend_of(account), file)
    signed = backend_of(account).presigned_url(REPO, PATH, 60)
    answer = requests.get(signed, headers={"Origin": ORIGIN, "Range": "bytes=0-9"}, timeout=10)
    assert answer.headers["Access-Control-Allow-Origin"] in {"*", ORIGIN}
    assert "content-range" in answer.headers["Access-Control-Expose-Headers"].lower()
    wishes = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "range"}
    assert requests.options(url_of(account), headers=wishes, timeout=10).status_code == 200
    assert requests.get(url_of(account), timeout=10).status_code == 403


def test_public_read_lets_everybody_read(rgw: Rgw, tmp_path: Path) -> None:
    account, file = make_account(rgw), file_of(tmp_path, 1000)
    call_command("ensure_bucket", "--public-read")
    put(backend_of(account), file)
    assert requests.get(url_of(account), timeout=10).content == file.source.read_bytes()
    assert requests.get(f"{account.endpoint}/{account.bucket}", timeout=10).status_code == 403
    assert requests.put(url_of(account), data=b"x", timeout=10).status_code == 403


def test_public_read_lifts_the_block_of_public_policies(rgw: Rgw, tmp_path: Path) -> None:
    account = make_account(rgw)
    call_command("ensure_bucket")
    blocks = {"BlockPublicPolicy": True, "RestrictPublicBuckets": True}
    backend_of(account).client.call("put_public_access_block", PublicAccessBlockConfiguration=blocks)
    call_command("ensure_bucket", "--public-read")
    put(backend_of(account), file_of(tmp_path, 1000))
    assert requests.get(url_of(account), timeout=10).status_code == 200


def test_doing_it_again_does_nothing(rgw: Rgw, capsys: Output) -> None:
    make_account(rgw)
    call_command("ensure_bucket", "--public-read")
    capsys.readouterr()
    call_command("ensure_bucket", "--public-read")
    assert "nothing was to be done" in capsys.readouterr().out


def test_rules_and_statements_of_others_stay(rgw: Rgw) -> None:
    account = make_account(rgw)
    call_command("ensure_bucket")
    client = backend_of(account).client
    rule = {"ID": "theirs", "AllowedOrigins": ["https://a.example"], "AllowedMethods": ["PUT"]}
    client.call("put_bucket_cors", CORSConfiguration={"CORSRules": [rule]})
    theirs = {
        "Sid": "Theirs",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:DeleteBucket",
        "Resource": f"arn:aws:s3:::{account.bucket}",
    }
    client.call("put_bucket_policy", Policy=json.dumps({"Version": "2012-10-17", "Statement": theirs}))
    call_command("ensure_bucket", "--public-read")
    rules = client.call("get_bucket_cors")["CORSRules"]
    policy = json.loads(client.call("get_bucket_policy")["Policy"])
    assert {found["ID"] for found in rules} == {"theirs", "reelkeep"}
    assert {found["Sid"] for found in policy["Statement"]} == {"Theirs", "ReelkeepPublicRead"}


def test_one_account_can_be_named_and_one_failure_spares_the_others(rgw: Rgw, tmp_path: Path, capsys: Output) -> None:
    name = f"u{uuid.uuid4().hex[:8]}"
    rgw.new_user(name, name, "somebody-elses")
    theirs = new_bucket(rgw, tmp_path, access_key=name, secret_key="somebody-elses")
    taken, ours = make_account(rgw, 1, bucket=theirs.bucket), make_account(rgw, 2)
    with pytest.raises(CommandError, match="Not every bucket"):
        call_command("ensure_bucket")
    said = capsys.readouterr()
    assert f"Account {taken}: Bucket {taken.bucket}" in said.err
    assert "somebody else" in said.err
    assert f"Account {ours}: created" in said.out
    call_command("ensure_bucket", "2")
    assert str(taken) not in capsys.readouterr().out


def test_an_account_of_another_kind_is_refused(rgw: Rgw, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no S3 account"):
        call_command("ensure_bucket")
    StorageAccount.objects.create(index=1, kind=AccountKind.LOCAL, username="a", root=str(tmp_path))
    with pytest.raises(CommandError, match="Account 1 is not"):
        call_command("ensure_bucket", "1")


def test_a_service_without_cors_is_named(rgw: Rgw, s3_faults: S3Faults, capsys: Output) -> None:
    make_account(rgw, endpoint=s3_faults.endpoint)
    s3_faults.misbehave("PutBucketCors", Refuse(status=501, code="NotImplemented"))
    with pytest.raises(CommandError):
        call_command("ensure_bucket")
    assert "does not offer this operation" in capsys.readouterr().err


def test_a_key_that_may_not_create_is_told(rgw: Rgw, capsys: Output) -> None:
    make_account(rgw, secret=seal("not-the-secret"))
    with pytest.raises(CommandError):
        call_command("ensure_bucket")
    said = capsys.readouterr()
    assert "Check the key and its permissions" in said.err
    assert "not-the-secret" not in said.err + said.out


def test_an_account_gets_the_backend_of_its_kind(rgw: Rgw, monkeypatch: pytest.MonkeyPatch) -> None:
    account = make_account(rgw, secret="", secret_env="OUR_S3_SECRET")
    with pytest.raises(StorageAuthError, match="OUR_S3_SECRET"):
        backend_for(account)
    monkeypatch.setenv("OUR_S3_SECRET", rgw.secret_key)
    backend = backend_of(account)
    assert (backend.bucket.prefix, backend.bucket.secret_key) == ("weaboo", rgw.secret_key)
