"""Storage accounts in the admin: forms of each kind, secrets that never come out, actions, capacity."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.messages.storage.base import BaseStorage
from django.core.management import CommandError, call_command
from django.test import Client, RequestFactory
from django.utils.timezone import now
from django.views.debug import SafeExceptionReporterFilter

from storage_app.admin.account import StorageAccountAdmin
from storage_app.credentials import seal, secret_of
from storage_app.models import (
    CapacitySample,
    PlacementPolicy,
    Replica,
    Reservation,
    StorageAccount,
    StorageEvent,
    StorageTask,
    TaskKind,
    VideoStore,
)
from storage_app.naming import VideoKey
from storage_app.probe_account import probe
from storage_app.upkeep.events import record
from storage_app.upkeep.tasks import ask_for
from tests.admin.conftest import messages, text
from tests.admin.test_steering import act
from tests.archive import KEY, archive, make_account

ACCOUNTS = "/admin/storage_app/storageaccount/"
SECRET = "s3cr3t-that-nobody-may-see"
GB = 10**9
LOCAL = {"index": "3", "kind": "local", "username": "third", "root": "/srv/3", "enabled": "on"}
BUCKET = {
    "index": "3", "kind": "s3", "username": "films", "enabled": "on", "bucket": "films", "access_key": "AKIA1",
    "endpoint": "https://s3.example.com/", "region": "eu", "addressing": "path", "new_secret": SECRET,
}  # fmt: skip
HUB = {"index": "3", "kind": "huggingface", "username": "user3", "enabled": "on", "new_secret": SECRET}


def errors(answer: Any) -> dict[str, list[str]]:
    return {name: list(sentences) for name, sentences in answer.context["adminform"].form.errors.items()}


def make_bucket(index: int = 3, **columns: Any) -> StorageAccount:
    return StorageAccount.objects.create(
        **{
            "index": index, "kind": "s3", "username": f"bucket{index}", "bucket": f"films{index}",
            "endpoint": "https://s3.example.com", "access_key": "AKIA1", "secret": seal(SECRET), **columns,
        }
    )  # fmt: skip


# --- Forms ---


def test_a_bucket_is_added_with_its_secret_sealed(operator: Client) -> None:
    assert operator.post(f"{ACCOUNTS}add/", BUCKET).status_code == 302
    account = StorageAccount.objects.get(pk=3)
    assert (account.endpoint, account.bucket, account.region, account.addressing) == (
        "https://s3.example.com", "films", "eu", "path",
    )  # fmt: skip
    assert (secret_of(account), SECRET in account.secret) == (SECRET, False)
    assert StorageEvent.objects.get().text == "Account 3 · films was added: bucket films at https://s3.example.com."


def test_a_hugging_face_account_is_added(operator: Client) -> None:
    operator.post(f"{ACCOUNTS}add/", HUB)
    account = StorageAccount.objects.get(pk=3)
    assert (account.kind, account.username, secret_of(account)) == ("huggingface", "user3", SECRET)


def test_a_secret_may_be_named_instead(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN_STORAGE_3", SECRET)
    operator.post(f"{ACCOUNTS}add/", {**HUB, "new_secret": "", "secret_env": "HF_TOKEN_STORAGE_3"})
    account = StorageAccount.objects.get(pk=3)
    assert (account.secret, secret_of(account)) == ("", SECRET)
    assert "Set: read from HF_TOKEN_STORAGE_3" in text(operator.get(f"{ACCOUNTS}3/change/"))


@pytest.mark.parametrize(
    ("form", "changes", "field"),
    [
        (LOCAL, {"root": ""}, "root"),
        (LOCAL, {"limit_bytes": "lots"}, "limit_bytes"),
        (LOCAL, {"limit_bytes": "9999999 PB"}, "limit_bytes"),
        (LOCAL, {"limit_bytes": "0"}, "limit_bytes"),
        (BUCKET, {"bucket": ""}, "bucket"),
        (BUCKET, {"bucket": "a/b"}, "bucket"),
        (BUCKET, {"access_key": ""}, "access_key"),
        (BUCKET, {"access_key": "a b"}, "access_key"),
        (BUCKET, {"new_secret": ""}, "new_secret"),
        (BUCKET, {"new_secret": "two words"}, "new_secret"),
        (BUCKET, {"new_secret": "ключ"}, "new_secret"),
        (BUCKET, {"endpoint": "s3.example.com"}, "endpoint"),
        (BUCKET, {"endpoint": "ftp://s3.example.com"}, "endpoint"),
        (BUCKET, {"endpoint": "https://me:pw@s3.example.com"}, "endpoint"),
        (BUCKET, {"endpoint": "https://s3.example.com?x=1"}, "endpoint"),
        (BUCKET, {"endpoint": "https://s3.example.com:99999"}, "endpoint"),
        (BUCKET, {"endpoint": "https://"}, "endpoint"),
        (BUCKET, {"public_url": "javascript:alert(1)"}, "public_url"),
        (BUCKET, {"encryption": "rot13"}, "encryption"),
        (BUCKET, {"encryption": "aws:kms:"}, "encryption"),
        (BUCKET, {"encryption": "aws:kms:a key"}, "encryption"),
        (BUCKET, {"encryption": "aws:kms:" + "k" * 100}, "encryption"),
        (BUCKET, {"secret_env": "AWS_SECRET_ACCESS_KEY"}, "secret_env"),
        (HUB, {"new_secret": ""}, "new_secret"),
        (HUB, {"new_secret": "", "secret_env": "SECRET_KEY"}, "secret_env"),
        (HUB, {"new_secret": "", "secret_env": "HF_TOKEN_../../etc/passwd"}, "secret_env"),
        (HUB, {"username": "user/3"}, "username"),
        (HUB, {"endpoint": "//hub"}, "endpoint"),
    ],
)
def test_what_could_not_work_is_refused_at_its_field(
    operator: Client, form: dict[str, str], changes: dict[str, str], field: str
) -> None:
    answer = operator.post(f"{ACCOUNTS}add/", {**form, **changes})
    assert list(errors(answer)) == [field]
    assert SECRET not in answer.content.decode()


@pytest.mark.parametrize("method", ["", "AES256", "aws:kms", "aws:kms:arn:aws:kms:eu-west-1:111122223333:key/1234-ab"])
def test_every_encryption_that_a_bucket_knows_is_taken(operator: Client, method: str) -> None:
    assert operator.post(f"{ACCOUNTS}add/", {**BUCKET, "encryption": method}).status_code == 302
    assert StorageAccount.objects.get().encryption == method


@pytest.fixture
def keeper(client: Client, db: None) -> Client:
    """Logged in, with every permission on storage, but not a superuser."""
    user = User.objects.create_user("keeper", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="storage_app"))
    client.force_login(user)
    return client


VARIABLE = {**HUB, "new_secret": "", "secret_env": "HF_TOKEN_STORAGE_3"}
EVIL = "http://evil.example"


@pytest.mark.parametrize(
    ("columns", "changes", "field"),
    [
        (None, {"endpoint": EVIL}, "endpoint"),
        ({"secret_env": "HF_TOKEN_STORAGE_3"}, {"endpoint": EVIL}, "endpoint"),
        ({"secret_env": "HF_TOKEN_STORAGE_3", "endpoint": "https://hub.example"}, {"endpoint": EVIL}, "endpoint"),
        ({"secret_env": "HF_TOKEN_STORAGE_3", "endpoint": "https://hub.example"}, {}, "endpoint"),
        ({"endpoint": EVIL, "secret": "sealed"}, {"endpoint": EVIL}, "secret_env"),
        ({"secret_env": "HF_TOKEN_STORAGE_4", "endpoint": EVIL}, {"endpoint": EVIL}, "secret_env"),
    ],
)
def test_only_a_superuser_sends_a_variables_secret_anywhere(
    keeper: Client, operator: Client, columns: dict[str, str] | None, changes: dict[str, str], field: str
) -> None:
    url = f"{ACCOUNTS}add/"
    if columns is not None:
        StorageAccount.objects.create(index=3, kind="huggingface", username="user3", **columns)
        url = f"{ACCOUNTS}3/change/"
    before = list(StorageAccount.objects.values())
    answer = keeper.post(url, {**VARIABLE, **changes})
    assert list(errors(answer)) == [field]
    assert "Only a superuser" in errors(answer)[field][0]
    assert list(StorageAccount.objects.values()) == before
    assert operator.post(url, {**VARIABLE, **changes}).status_code == 302
    assert StorageAccount.objects.get().endpoint == changes.get("endpoint", "")


def test_others_may_do_everything_else_with_a_variable(keeper: Client) -> None:
    assert keeper.post(f"{ACCOUNTS}add/", VARIABLE).status_code == 302
    StorageAccount.objects.update(endpoint="https://hub.example/")
    same = {**VARIABLE, "endpoint": "https://hub.example/", "limit_bytes": "1 GB"}
    assert keeper.post(f"{ACCOUNTS}3/change/", same).status_code == 302
    assert StorageAccount.objects.get().limit_bytes == GB
    own = {**HUB, "endpoint": EVIL, "secret_env": ""}
    assert keeper.post(f"{ACCOUNTS}3/change/", own).status_code == 302
    assert secret_of(StorageAccount.objects.get()) == SECRET


def test_what_a_kind_does_not_know_is_dropped(operator: Client) -> None:
    operator.post(f"{ACCOUNTS}add/", {**LOCAL, **{name: BUCKET[name] for name in ("endpoint", "bucket", "new_secret")}})
    account = StorageAccount.objects.get(pk=3)
    assert (account.endpoint, account.bucket, account.secret) == ("", "", "")


@pytest.mark.parametrize(("form", "field"), [(LOCAL, "root"), (BUCKET, "bucket")])
def test_two_accounts_in_one_place_are_refused(operator: Client, form: dict[str, str], field: str) -> None:
    operator.post(f"{ACCOUNTS}add/", form)
    answer = operator.post(f"{ACCOUNTS}add/", {**form, "index": "4", "username": "other"})
    assert "two copies in one place are one" in errors(answer)[field][0]


def test_the_add_form_has_every_kinds_fields_and_chooses_by_the_query(operator: Client) -> None:
    page = operator.get(f"{ACCOUNTS}add/?kind=s3").content.decode()
    for kind in ("local", "s3", "huggingface"):
        assert f"rk-kind-{kind}" in page
    assert '<option value="s3" selected>' in page


def test_a_size_is_written_with_its_unit(operator: Client) -> None:
    operator.post(f"{ACCOUNTS}add/", {**LOCAL, "limit_bytes": "1.5 TB", "scrub_bytes": "2GiB"})
    account = StorageAccount.objects.get(pk=3)
    assert (account.limit_bytes, account.scrub_bytes) == (1_500 * GB, 2 * 2**30)
    page = operator.get(f"{ACCOUNTS}3/change/").content.decode()
    assert 'value="1500 GB"' in page
    assert 'value="2 GiB"' in page


def test_a_new_secret_takes_the_place_of_the_old_one(operator: Client) -> None:
    make_bucket(secret_env="", limit_bytes=5)
    data = {**BUCKET, "username": "bucket3", "bucket": "films3", "new_secret": "another-one"}
    operator.post(f"{ACCOUNTS}3/change/", data)
    assert secret_of(StorageAccount.objects.get()) == "another-one"


def test_an_empty_field_keeps_the_secret(operator: Client) -> None:
    account = make_bucket()
    operator.post(f"{ACCOUNTS}3/change/", {**BUCKET, "bucket": "films3", "new_secret": "", "limit_bytes": "5 GB"})
    account.refresh_from_db()
    assert (secret_of(account), account.limit_bytes) == (SECRET, 5 * GB)


def test_a_variable_takes_the_place_of_the_sealed_secret(operator: Client) -> None:
    make_bucket()
    operator.post(f"{ACCOUNTS}3/change/", {**BUCKET, "bucket": "films3", "new_secret": "", "secret_env": "STORAGE_X"})
    account = StorageAccount.objects.get()
    assert (account.secret, account.secret_env) == ("", "STORAGE_X")


def test_a_kept_secret_is_not_sent_to_another_endpoint_unasked(operator: Client) -> None:
    make_bucket()
    data = {**BUCKET, "bucket": "films3", "new_secret": "", "endpoint": "https://elsewhere.example.com"}
    assert list(errors(operator.post(f"{ACCOUNTS}3/change/", data))) == ["new_secret"]
    assert StorageAccount.objects.get().endpoint == "https://s3.example.com"


def test_saving_writes_nothing_that_a_worker_may_be_writing(operator: Client, tmp_path: Path) -> None:
    make_account(tmp_path)
    page = operator.get(f"{ACCOUNTS}1/change/")
    StorageAccount.objects.update(paused_until=now() + timedelta(hours=1), pause_count=3, used_bytes=7)
    form = page.context["adminform"].form
    operator.post(f"{ACCOUNTS}1/change/", {"username": form.initial["username"], "root": "/srv/x", "enabled": "on"})
    account = StorageAccount.objects.get()
    assert (account.root, account.pause_count, account.used_bytes) == ("/srv/x", 3, 7)
    assert account.paused_until is not None


def test_moving_an_account_with_copies_warns(operator: Client, tmp_path: Path) -> None:
    archive(KEY, [make_account(tmp_path)])
    data = {"username": "user1", "root": "/srv/elsewhere", "enabled": "on"}
    answer = operator.post(f"{ACCOUNTS}1/change/", data, follow=True)
    assert "1 file of this account is looked for at folder /srv/elsewhere from now on" in messages(answer)[0]


def test_putting_an_account_back_in_use_ends_its_draining(operator: Client, tmp_path: Path) -> None:
    account = make_account(tmp_path, enabled=False)
    StorageAccount.objects.update(draining=True)
    operator.post(f"{ACCOUNTS}1/change/", {"username": "user1", "root": account.root, "enabled": "on"})
    account.refresh_from_db()
    assert (account.enabled, account.draining) == (True, False)


# --- No secret anywhere ---


def test_no_secret_appears_on_any_page_message_log_entry_or_event(
    operator: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("HF_TOKEN_STORAGE_9", f"{SECRET}-9")
    pages = [operator.post(f"{ACCOUNTS}add/", BUCKET, follow=True)]
    pages.append(operator.post(f"{ACCOUNTS}3/change/", {**BUCKET, "new_secret": f"{SECRET}-2"}, follow=True))
    pages.append(operator.post(f"{ACCOUNTS}3/change/", {**BUCKET, "endpoint": "broken"}))
    StorageAccount.objects.create(index=9, kind="huggingface", username="user9", secret_env="HF_TOKEN_STORAGE_9")
    sealed = StorageAccount.objects.get(pk=3).secret
    paths = ("", "3/change/", "9/change/", "3/history/", "3/delete/", "add/")
    pages += [operator.get(f"{ACCOUNTS}{path}") for path in paths]
    pages += [operator.get("/admin/"), operator.get("/admin/storage_app/storageevent/")]
    pages.append(act(operator, ACCOUNTS, "drain", StorageAccount.objects.filter(pk=3)))
    for page in pages:
        assert page.status_code == 200
        assert SECRET not in page.content.decode()
        assert sealed not in page.content.decode()
    written = [entry.change_message + entry.object_repr for entry in LogEntry.objects.all()]
    written += list(StorageEvent.objects.values_list("text", flat=True))
    assert any("token or secret key" in words.lower() for words in written)
    assert not any(SECRET in words or sealed in words for words in [*written, caplog.text])


def test_should_the_form_crash_its_report_hides_the_secret(operator: Client) -> None:
    request: Any = RequestFactory().post(f"{ACCOUNTS}add/", {**HUB, "username": "not/valid"})
    request.user, request._dont_enforce_csrf_checks = User.objects.get(username="admin"), True
    admin.site.get_model_admin(StorageAccount).changeform_view(request)
    reported = SafeExceptionReporterFilter().get_post_parameters(request)
    assert reported["username"] == "not/valid"
    assert SECRET not in str(reported)


def test_who_may_only_look_sees_whether_a_secret_is_set(viewer: Client) -> None:
    make_bucket()
    page = text(viewer.get(f"{ACCOUNTS}3/change/"))
    assert "AKIA1" in page
    assert "Token or secret key" not in page


@pytest.mark.parametrize(
    ("columns", "shown"),
    [({}, "Set, sealed"), ({"secret": ""}, "Not set"), ({"secret": "junk"}, "sealed under another CREDENTIALS_KEY"),
     ({"secret_env": "STORAGE_NONE"}, "STORAGE_NONE is not set on this host")],
)  # fmt: skip
def test_a_page_says_whether_the_secret_can_be_had(operator: Client, columns: dict[str, Any], shown: str) -> None:
    make_bucket(**columns)
    assert shown in text(operator.get(f"{ACCOUNTS}3/change/"))


# --- The test of an account ---


def test_a_folder_that_works_passes_and_nothing_of_the_test_stays(operator: Client, tmp_path: Path) -> None:
    account = make_account(tmp_path)
    (message,) = messages(act(operator, ACCOUNTS, "test_account", [account]))
    assert message.startswith(f"Account 1 · user1 works (folder {account.root}): wrote 256 KB, found it whole, read it")
    assert [path for path in Path(account.root).rglob("*") if path.is_file()] == []
    assert StorageEvent.objects.get().kind == "account_tested"
    assert "works" in LogEntry.objects.get().change_message


def test_accounts_that_do_not_work_say_why(operator: Client, tmp_path: Path) -> None:
    good, bad = make_account(tmp_path, 1), make_account(tmp_path, 2)
    Path(bad.root).write_text("a file in its place")
    said = messages(act(operator, ACCOUNTS, "test_account", [good, bad]))
    assert ["works" in said[0], "Account 2 · user2 doesn't work: writing failed." in said[1]] == [True, True]


def test_an_account_whose_secret_cannot_be_read_fails_the_test(operator: Client) -> None:
    account = make_bucket(secret="", secret_env="STORAGE_NONE", endpoint="http://127.0.0.1:1")
    (message,) = messages(act(operator, ACCOUNTS, "test_account", [account]))
    assert "STORAGE_NONE is not set on this host" in message


class _Echo(BaseHTTPRequestHandler):
    """Refuses every request, repeating what it was sent; or says nothing until `released`."""

    protocol_version = "HTTP/1.1"
    released = threading.Event()

    def _answer(self) -> None:
        if self.path.startswith("/silent"):
            self.released.wait(60)
        body = (str(self.headers) + SECRET).encode()
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = _answer  # noqa: N815

    def log_message(self, *_args: Any) -> None: ...


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that had to wait are gone by then."""


@pytest.fixture
def echo() -> Iterator[str]:
    server = _Server(("127.0.0.1", 0), _Echo)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    _Echo.released.set()
    server.shutdown()
    thread.join()
    server.server_close()
    _Echo.released.clear()


@pytest.mark.django_db
@pytest.mark.parametrize(("kind", "module"), [("s3", "s3"), ("huggingface", "huggingface")])
def test_a_service_that_repeats_the_secret_does_not_get_it_onto_the_page(echo: str, kind: str, module: str) -> None:
    result = probe(make_bucket(kind=kind, endpoint=echo), 20)
    assert (result.works, SECRET in result.sentence) == (False, False)


@pytest.mark.django_db
def test_the_test_of_an_account_that_says_nothing_ends_in_time(echo: str, settings: Any) -> None:
    result = probe(make_bucket(endpoint=echo, bucket="silent", addressing="path"), 1)
    assert "writing took longer than 1 s" in result.problem


@pytest.mark.django_db
def test_the_command_tests_accounts_and_tells_by_its_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_account(tmp_path, 1)
    call_command("test_account", "1")
    assert "Account 1 · user1 works" in capsys.readouterr().out
    bad = make_account(tmp_path, 2)
    Path(bad.root).write_text("a file in its place")
    with pytest.raises(SystemExit):
        call_command("test_account", "--json")
    said = capsys.readouterr().out
    assert '"account": 1, "kind": "local", "works": true' in said
    assert '"account": 2, "kind": "local", "works": false' in said
    with pytest.raises(CommandError, match="no storage account 7"):
        call_command("test_account", "7")


# --- Enable, disable, drain, retire ---


def state(index: int = 1) -> tuple[bool, bool, bool]:
    account = StorageAccount.objects.get(pk=index)
    return account.enabled, account.draining, account.retired_at is not None


def test_accounts_are_disabled_and_enabled(operator: Client, tmp_path: Path) -> None:
    accounts = [make_account(tmp_path, 1), make_account(tmp_path, 2, enabled=False)]
    assert messages(act(operator, ACCOUNTS, "disable", accounts)) == [
        "1 account disabled: what lies there stays, nothing new is copied there.",
        "1 account skipped, being disabled already.",
    ]
    assert state() == (False, False, False)
    act(operator, ACCOUNTS, "enable", accounts[:1])
    assert state() == (True, False, False)
    assert [event.kind for event in StorageEvent.objects.order_by("id")] == ["account_disabled", "account_enabled"]
    assert StorageEvent.objects.latest("id").actor == "admin"
    assert LogEntry.objects.count() == 2


def test_draining_asks_first_and_says_how_much_moves_where(operator: Client, tmp_path: Path) -> None:
    one, two, three = (make_account(tmp_path, index) for index in (1, 2, 3))
    archive(KEY, [one, two])
    archive(VideoKey(1, 2, "p", None), [one])
    answer = act(operator, ACCOUNTS, "drain", [one])
    page = text(answer)
    assert "1 · user1 folder" in page
    assert "2 2.4 MB 1" in page  # two copies, one of them nowhere else
    assert [(row["account"].pk, row["there"], row["missing"]) for row in answer.context["targets"]] == [
        (2, 1, 1), (3, 0, 2),
    ]  # fmt: skip
    assert state() == (True, False, False)
    assert messages(act(operator, ACCOUNTS, "drain", [one], confirmed="yes"))[0].startswith("1 account draining")
    assert state() == (False, True, False)
    assert three.pk == 3


def test_the_last_account_in_use_is_not_drained(operator: Client, tmp_path: Path) -> None:
    make_account(tmp_path, 1)
    make_account(tmp_path, 2, enabled=False)
    answer = act(operator, ACCOUNTS, "drain", StorageAccount.objects.all(), confirmed="yes")
    assert "no account left in use" in messages(answer)[0]
    assert state() == (True, False, False)


def test_disabling_ends_draining(operator: Client, tmp_path: Path) -> None:
    account = make_account(tmp_path, enabled=False)
    StorageAccount.objects.update(draining=True)
    act(operator, ACCOUNTS, "disable", [account])
    assert state() == (False, False, False)


def test_only_an_empty_disabled_account_is_retired(operator: Client, tmp_path: Path) -> None:
    full, used, empty = (make_account(tmp_path, index, enabled=index == 2) for index in (1, 2, 3))
    archive(KEY, [full])
    answer = act(operator, ACCOUNTS, "retire", [full, used, empty])
    assert messages(answer)[0] == "1 account retired: kept for the number alone."
    assert messages(answer)[1].startswith("2 accounts skipped: only a disabled account without copies")
    assert [state(index)[2] for index in (1, 2, 3)] == [False, False, True]
    assert "Retired" in text(operator.get(ACCOUNTS))
    act(operator, ACCOUNTS, "enable", [empty])
    assert state(3) == (True, False, False)


def test_an_account_with_bytes_reserved_is_not_retired(operator: Client, tmp_path: Path) -> None:
    account = make_account(tmp_path, enabled=False)
    Reservation.objects.create(job="6f3e2d2e-0000-4000-8000-000000000001", account=account, size=5)
    act(operator, ACCOUNTS, "retire", [account])
    assert state() == (False, False, False)


@pytest.mark.parametrize("action", ["test_account", "enable", "disable", "drain", "retire", "resume"])
def test_who_may_only_look_does_nothing_to_accounts(viewer: Client, tmp_path: Path, action: str) -> None:
    accounts = [make_account(tmp_path, 1), make_account(tmp_path, 2)]
    act(viewer, ACCOUNTS, action, accounts[:1], confirmed="yes")
    assert (state(), StorageEvent.objects.count(), LogEntry.objects.count()) == ((True, False, False), 0, 0)


def test_each_account_is_asked_about_by_itself(operator: Client, tmp_path: Path) -> None:
    """As a site would have it that gives people their own accounts."""

    class Odd(StorageAccountAdmin):
        def has_change_permission(self, request: Any, obj: Any = None) -> bool:
            return obj is None or obj.pk % 2 == 1

    class Kept(BaseStorage):
        said: list[str] = []

        def add(self, level: int, message: str, extra_tags: str | None = "") -> None:
            self.said.append(str(message))

    for index in (1, 2, 3):
        make_account(tmp_path, index)
    request: Any = RequestFactory().post(ACCOUNTS)
    request.user, request._messages = User.objects.get(username="admin"), Kept(request)
    Odd(StorageAccount, admin.site).disable(request, StorageAccount.objects.all())
    assert [state(index)[0] for index in (1, 2, 3)] == [False, True, False]
    assert "1 account left alone: you may not change them." in Kept.said


# --- Deleting ---


def test_an_account_that_an_older_clients_video_names_is_not_deleted(operator: Client, tmp_path: Path) -> None:
    archive(KEY, [make_account(tmp_path)])
    VideoStore.objects.update(stored_file=None)
    Replica.objects.all().delete()
    operator.post(f"{ACCOUNTS}1/delete/", {"post": "yes"})
    assert "1 video of an older client" in text(operator.get(f"{ACCOUNTS}1/delete/"))
    assert StorageAccount.objects.exists()


def test_a_policys_only_account_is_not_deleted(operator: Client, tmp_path: Path) -> None:
    accounts = [make_account(tmp_path, index) for index in (1, 2, 3)]
    only, both = PlacementPolicy.objects.create(mal_id=55825), PlacementPolicy.objects.create(mal_id=1)
    only.accounts.set(accounts[:1])
    both.accounts.set(accounts[:2])
    PlacementPolicy.objects.create(mal_id=2)
    page = text(operator.get(f"{ACCOUNTS}1/delete/"))
    assert "The placement policy for work 55825: it allows no other account" in page
    assert "work 1:" not in page
    assert "work 2:" not in page
    operator.post(f"{ACCOUNTS}1/delete/", {"post": "yes"})
    act(operator, ACCOUNTS, "delete_selected", accounts[:2], post="yes")
    assert StorageAccount.objects.count() == 3
    only.delete()
    operator.post(f"{ACCOUNTS}1/delete/", {"post": "yes"})
    assert list(both.accounts.all()) == accounts[1:2]
    assert not StorageAccount.objects.filter(pk=1).exists()


def test_deleting_an_account_does_not_list_its_measurements(
    operator: Client, tmp_path: Path, django_assert_max_num_queries: Any
) -> None:
    account = make_account(tmp_path)
    CapacitySample.objects.bulk_create(
        [CapacitySample(account=account, used_bytes=1, reserved_bytes=0, files=1) for _ in range(300)]
    )
    with django_assert_max_num_queries(12):
        page = text(operator.get(f"{ACCOUNTS}1/delete/"))
    assert ("Capacity samples: 300" in page, "account 1 at 20" in page) == (True, False)
    operator.post(f"{ACCOUNTS}1/delete/", {"post": "yes"})
    assert not StorageAccount.objects.exists()


# --- Capacity ---


def grow(
    account: StorageAccount, days: int = 10, start: int = 100 * GB, per_day: int = 2 * GB, room: int = 200 * GB
) -> None:
    """Hourly samples up to now, and the account's own figures."""
    hours = range(days * 24)
    samples = [
        CapacitySample(
            account=account, at=now() - timedelta(hours=days * 24 - hour - 1), used_bytes=start + per_day * hour // 24,
            reserved_bytes=0, free_bytes=room - start - per_day * hour // 24, files=hour,
        )
        for hour in hours
    ]  # fmt: skip
    CapacitySample.objects.bulk_create(samples)
    StorageAccount.objects.filter(pk=account.pk).update(
        used_bytes=samples[-1].used_bytes, free_bytes=samples[-1].free_bytes, measured_at=samples[-1].at
    )


def test_growth_and_the_day_on_which_it_is_full(operator: Client, tmp_path: Path) -> None:
    grow(make_account(tmp_path))
    page = text(operator.get(ACCOUNTS))
    free = 200 * GB - (100 * GB + 2 * GB * 239 // 24)
    day = now() + timedelta(days=free / (2 * GB))
    assert "1.9 GB a day" in page
    assert any(f"{when:%Y-%m-%d}" in page for when in (day, day + timedelta(minutes=5), day - timedelta(minutes=5)))


def test_an_operators_limit_and_reserved_bytes_bring_the_day_nearer(operator: Client, tmp_path: Path) -> None:
    account = make_account(tmp_path)
    grow(account)
    Reservation.objects.create(job="6f3e2d2e-0000-4000-8000-000000000001", account=account, size=5 * GB)
    StorageAccount.objects.update(limit_bytes=130 * GB, used_bytes=120 * GB)
    page = text(operator.get(ACCOUNTS))
    assert "111.8 GB used, 4.7 GB reserved, 4.7 GB free" in page
    day = now() + timedelta(days=2.5)
    assert any(f"{when:%Y-%m-%d}" in page for when in (day, day + timedelta(minutes=5), day - timedelta(minutes=5)))


@pytest.mark.parametrize("per_day", [0, -GB])
def test_an_account_that_does_not_grow_is_never_full(operator: Client, tmp_path: Path, per_day: int) -> None:
    grow(make_account(tmp_path), per_day=per_day)
    assert f"{now():%Y}-" not in text(operator.get(ACCOUNTS))


def test_a_few_samples_of_one_hour_say_nothing(operator: Client, tmp_path: Path) -> None:
    account = make_account(tmp_path)
    grow(account, days=1)
    CapacitySample.objects.filter(at__lt=now() - timedelta(hours=2)).delete()
    assert "a day" not in text(operator.get(ACCOUNTS))


def test_only_the_last_month_counts(operator: Client, tmp_path: Path) -> None:
    account = make_account(tmp_path)
    grow(account)
    CapacitySample.objects.create(
        account=account, used_bytes=900 * GB, reserved_bytes=0, files=1, at=now() - timedelta(days=31)
    )
    assert "1.9 GB a day" in text(operator.get(ACCOUNTS))


def test_the_page_draws_capacity_over_time_with_few_points(operator: Client, tmp_path: Path) -> None:
    grow(make_account(tmp_path), days=89)
    page = operator.get(f"{ACCOUNTS}1/change/").content.decode()
    assert '<polyline class="rk-line" points="78.0,' in page
    line = page.split('<polyline class="rk-line" points="')[1].split('"')[0].split()
    assert 200 < len(line) <= 241
    heights = [float(point.split(",")[1]) for point in line]
    assert heights[0] > heights[-1] > 0


def test_a_page_without_samples_says_so(operator: Client, tmp_path: Path) -> None:
    make_account(tmp_path)
    assert "Nothing to draw yet" in text(operator.get(f"{ACCOUNTS}1/change/"))


def test_a_page_tells_events_and_failures_of_its_account_alone(operator: Client, tmp_path: Path) -> None:
    one, two = make_account(tmp_path, 1), make_account(tmp_path, 2)
    record("copied", "Copied <b>here</b>.", account=1)
    record("copied", "Copied there.", account=2)
    for account in (one, two):
        ask_for(TaskKind.MEASURE, account=account)
    StorageTask.objects.filter(account=one).update(error_message="It hangs.", attempts=4)
    page = operator.get(f"{ACCOUNTS}1/change/").content.decode()
    assert "Copied &lt;b&gt;here&lt;/b&gt;." in page
    assert "It hangs." in page
    assert "Copied there." not in page
    assert "It hangs" not in text(operator.get(f"{ACCOUNTS}2/change/"))


def test_a_page_takes_few_queries_however_much_happened(
    operator: Client, tmp_path: Path, django_assert_max_num_queries: Any
) -> None:
    account = make_account(tmp_path)
    grow(account)
    for number in range(50):
        record("copied", f"Copied {number}.", account=1)
        ask_for(TaskKind.REMOVE, account=account, repo="r", path=str(number))
    StorageTask.objects.update(error_message="No.")
    with django_assert_max_num_queries(8):
        assert operator.get(f"{ACCOUNTS}1/change/").status_code == 200
