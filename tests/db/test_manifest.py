"""Manifests: what they say, what is refused, and how they follow the tables."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from django.core.management import call_command
from django.db import connection
from django.utils.timezone import now

from storage_app.backends.base import StorageError
from storage_app.manifest import ManifestRefused, build, of_video, parse, refresh
from storage_app.manifest_format import MAX_BYTES
from storage_app.models import Replica, Sidecar, StorageAccount, StorageTask, StoredFile, VideoStore
from storage_app.naming import VideoKey
from tests.archive import KEY, archive, copy_of

ROOT = Path(__file__).parent.parent.parent
SCHEMA = json.loads((ROOT / "storage_app/manifest.schema.json").read_text(encoding="utf-8"))
MOMENT = datetime(2026, 11, 21, 12, tzinfo=UTC)
CONTENT = {
    "sha256": "a" * 64, "size": 10, "content_type": "video/mp4", "proof": {"mode": "full"},
    "media": {"duration": 61.5, "container": "mp4", "streams": [{"codec": "h264"}]},
}  # fmt: skip
SUBTITLES = {
    "repo": "weaboo-55825", "path": "55825/ep1/x.en.vtt", "sha256": "b" * 64, "size": 5, "content_type": "text/vtt",
    "kind": "subtitles", "language": "en", "name": "English – “all”",
}  # fmt: skip
ACCOUNT = StorageAccount(index=3, kind="s3", username="user3", secret="gAAAAsealed", access_key="AKIAKEY")


def built(**changes: Any) -> bytes:
    facts: dict[str, Any] = {
        "repo": "weaboo-55825", "path": "55825/ep1/x.mp4", "content": CONTENT, "title": "Überschrift 映画",
        "sidecars": [SUBTITLES], "primary": ACCOUNT, "stream_url": "https://s.example/stream/55825/1/animasu/720p",
        "direct_url": "https://d.example/weaboo-55825/x.mp4", "archived_at": MOMENT,
        "source": {"video_url": "https://user:pw@o.example/v.mp4?token=secret#frag", "page_url": ""},
    }  # fmt: skip
    return build(KEY, **(facts | changes))


def changed(change: Callable[[dict[str, Any]], Any]) -> bytes:
    """A manifest that somebody has meddled with."""
    said = json.loads(built())
    change(said)
    return json.dumps(said).encode()


# --- what it says ---


def test_the_same_facts_are_the_same_bytes_on_one_line() -> None:
    assert built() == built()
    assert built().count(b"\n") == 1
    assert list(json.loads(built())) == sorted(json.loads(built()))


def test_what_was_written_is_read_again() -> None:
    manifest = parse(built())
    assert manifest.as_bytes() == built()
    assert (manifest.key, manifest.title, manifest.archived_at) == (KEY, "Überschrift 映画", MOMENT)
    assert (manifest.duration, manifest.media, manifest.proof) == (61.5, CONTENT["media"], CONTENT["proof"])
    assert (manifest.primary.account, manifest.primary.repo) == (3, "user3/weaboo-55825")
    assert [(sidecar.language, sidecar.file.path) for sidecar in manifest.sidecars] == [("en", "55825/ep1/x.en.vtt")]
    assert manifest.path == f"55825/ep1/{manifest.file_key}.json"


def test_it_holds_no_secret() -> None:
    text = built(direct_url="https://u:p@d.example/x.mp4?X-Amz-Signature=secret", stream_url="https://s/x?sig=secret")
    for secret in (b"secret", b"pw@", b"u:p@", b"gAAAA", b"AKIA"):
        assert secret not in text
    assert parse(text).source == {"video_url": "https://o.example/v.mp4"}


@pytest.mark.parametrize("resolution", [None, "720p"])
def test_it_fits_its_published_schema(resolution: str | None) -> None:
    key = VideoKey(2**63 - 1, 0, "é", resolution)
    said = build(
        key, repo="r", path="p", content={"sha256": "a" * 64, "size": 1}, title="", sidecars=[], primary=ACCOUNT,
        stream_url="/stream/x", direct_url="", source={},
    )  # fmt: skip
    jsonschema.validate(json.loads(said), SCHEMA)
    jsonschema.validate(json.loads(built()), SCHEMA)
    assert parse(said).key == key


# --- what is refused ---


def test_a_newer_schema_says_what_to_do() -> None:
    with pytest.raises(ManifestRefused, match="schema 2, written by a newer Reelkeep; this one reads schema 1"):
        parse(changed(lambda said: said.update(schema=2, something_new={"x": 1})))


HOSTILE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no schema": lambda said: said.pop("schema"),
    "schema true": lambda said: said.update(schema=True),
    "a field missing": lambda said: said.pop("file_key"),
    "a field more": lambda said: said.update(extra=1),
    "a path that climbs": lambda said: said["file"].update(path="../../etc/passwd"),
    "a path that is absolute": lambda said: said["file"].update(path="/etc/passwd"),
    "a path of dots inside": lambda said: said["file"].update(path="a/../../b"),
    "a path with a backslash": lambda said: said["file"].update(path="a\\..\\b"),
    "a repository that climbs": lambda said: said["file"].update(repo=".."),
    "a repository with a slash": lambda said: said["file"].update(repo="a/b"),
    "a sidecar that climbs": lambda said: said["sidecars"][0].update(path="a//b"),
    "a file key with a slash": lambda said: said.update(file_key="../x"),
    "a size below nothing": lambda said: said["file"].update(size=-1),
    "a size of nothing": lambda said: said["file"].update(size=0),
    "a size that is too large": lambda said: said["file"].update(size=2**63),
    "a size that is text": lambda said: said["file"].update(size="10"),
    "a size that is true": lambda said: said["file"].update(size=True),
    "a hash in capitals": lambda said: said["file"].update(sha256="A" * 64),
    "a duration below nothing": lambda said: said["file"].update(duration=-1),
    "media that is a list": lambda said: said["file"].update(media=[]),
    "a work that is text": lambda said: said["key"].update(mal_id="1"),
    "a work that is too large": lambda said: said["key"].update(mal_id=2**63),
    "a provider that climbs": lambda said: said["key"].update(provider=".."),
    "an episode below nothing": lambda said: said["key"].update(episode=-1),
    "an account below nothing": lambda said: said["primary"].update(account=-1),
    "a script for a URL": lambda said: said.update(stream_url="javascript:alert(1)"),
    "a signed URL": lambda said: said["primary"].update(direct_url="https://x/y?sig=1"),
    "a title that is a number": lambda said: said.update(title=1),
    "an odd sidecar": lambda said: said["sidecars"][0].update(kind="virus"),
    "a manifest of the manifest": lambda said: said["sidecars"][0].update(kind="manifest"),
    "a sidecar twice": lambda said: said["sidecars"].append(said["sidecars"][0]),
    "a revision of nothing": lambda said: said.update(revision=0),
    "a page for a video": lambda said: said["file"].update(content_type="text/html"),
    "a header in a type": lambda said: said["file"].update(content_type="video/mp4\r\nX-Evil: 1"),
    "a parameter of a type": lambda said: said["file"].update(content_type="video/mp4; x=y"),
    "a page beside a video": lambda said: said["sidecars"][0].update(content_type="text/html"),
    "a drawing with a script": lambda said: said["sidecars"][0].update(content_type="image/svg+xml"),
    "an odd source": lambda said: said.update(source={"token": "x"}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_could_do_harm_is_refused_by_the_reader_and_by_the_schema(name: str) -> None:
    data = changed(HOSTILE[name])
    with pytest.raises(ManifestRefused):
        parse(data)
    if name != "a provider that climbs":  # the schema leaves the rules for keys to the reader
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(json.loads(data), SCHEMA)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b"<html>", "not JSON"),
        (b"[]", "must be an object"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"schema": 1, "schema": 1}', "the same name twice"),
        (b'{"schema": NaN}', "no number"),
        (b'{"schema": 1e999}', "too large"),
        (b'{"schema": ' + b"9" * 5000 + b"}", "not JSON that can be used"),
        (b'{"schema": "\\u0000"}', "a NUL"),
        (b'{"schema": "\\ud800"}', "half a character"),
        (b'{"a": ' * 40 + b"1" + b"}" * 40, "nested too deeply"),
        (b" " * (MAX_BYTES + 1), "at most 1048576"),
        (changed(lambda said: said.update(archived_at="2026-01-01T00:00:00")), "offset from UTC"),
        (changed(lambda said: said.update(archived_at="yesterday")), "offset from UTC"),
        (changed(lambda said: said.update(archived_at="9000-12-31T23:59:59+00:00")), "lies in the future"),
        (changed(lambda said: said["file"].update(content_type="video/mp4\n")), "file.content_type"),
    ],
)
def test_what_is_no_manifest_is_refused_with_its_reason(data: bytes, why: str) -> None:
    with pytest.raises(ManifestRefused, match=why):
        parse(data)


def test_clocks_may_differ_by_hours_and_not_by_days() -> None:
    ahead = now() + timedelta(hours=23)
    assert parse(built(archived_at=ahead)).archived_at == ahead
    with pytest.raises(ManifestRefused, match="lies in the future"):
        parse(built(archived_at=now() + timedelta(hours=25)))


@pytest.mark.parametrize("content_type", ["image/jpeg", "image/png", "image/webp", "text/vtt; charset=utf-8"])
def test_all_that_is_written_beside_a_video_is_read_again(content_type: str) -> None:
    data = built(sidecars=[SUBTITLES | {"content_type": content_type}])
    jsonschema.validate(json.loads(data), SCHEMA)
    assert parse(data).sidecars[0].file.content_type == content_type


def test_one_that_would_be_too_large_is_not_written() -> None:
    with pytest.raises(ValueError, match="more than 1048576"):
        built(title="x" * MAX_BYTES)


# --- following the tables ---


@pytest.fixture
def video(accounts: list[StorageAccount]) -> VideoStore:
    return archive(KEY, accounts)


def lying(account: StorageAccount) -> bytes:
    """The manifest on an account."""
    [path] = Path(account.root).rglob("*.json")
    return path.read_bytes()


def test_a_manifest_is_put_beside_the_video_on_every_account_that_has_it(
    video: VideoStore, accounts: list[StorageAccount]
) -> None:
    Replica.objects.filter(account=accounts[1]).delete()
    third = StorageAccount.objects.create(index=3, kind="local", username="c", root=f"{accounts[0].root}c")
    assert video.stored_file
    shutil.copytree(accounts[0].root, third.root)
    Replica.objects.create(stored_file=video.stored_file, account=third)
    file = refresh(video)
    assert file is not None
    assert lying(accounts[0]) == lying(third) == of_video(video).as_bytes()
    assert copy_of(video, accounts[0]).with_suffix(".json").read_bytes() == lying(accounts[0])
    assert not list(Path(accounts[1].root).rglob("*.json"))
    sidecar = Sidecar.objects.get(video=video)
    assert (sidecar.kind, sidecar.stored_file, file.content_type) == ("manifest", file, "application/json")
    assert set(file.replicas.values_list("account_id", flat=True)) == {1, 3}


def test_one_that_is_true_already_is_not_written_again(video: VideoStore, accounts: list[StorageAccount]) -> None:
    file, before = refresh(video), copy_of(video, accounts[0]).with_suffix(".json").stat().st_ino
    assert refresh(video) == file
    assert copy_of(video, accounts[0]).with_suffix(".json").stat().st_ino == before


def test_a_change_makes_a_new_revision_and_the_old_rows_go(video: VideoStore, accounts: list[StorageAccount]) -> None:
    refresh(video, source={"video_url": "https://o.example/v.mp4?sig=x"})
    VideoStore.objects.update(hf_account=2, hf_repo="local2/weaboo-55825", title="Renamed")
    refresh(video)
    manifest = parse(lying(accounts[1]))
    assert (manifest.revision, manifest.title, manifest.primary.username) == (2, "Renamed", "local2")
    assert manifest.source == {"video_url": "https://o.example/v.mp4"}
    assert StoredFile.objects.filter(path__endswith=".json").count() == Sidecar.objects.count() == 1
    assert Replica.objects.filter(stored_file__path__endswith=".json").count() == 2


def test_an_account_that_fails_gets_it_later(video: VideoStore, accounts: list[StorageAccount]) -> None:
    place = copy_of(video, accounts[1]).with_suffix(".json")
    place.mkdir()
    (place / "in the way").touch()
    file = refresh(video, actor="ann")
    task = StorageTask.objects.get()
    assert (task.kind, task.stored_file, task.actor) == ("replicate", file, "ann")
    assert file is not None
    assert [replica.account for replica in file.replicas.all()] == [accounts[0]]


def test_when_no_account_takes_it_nothing_changes(video: VideoStore, accounts: list[StorageAccount]) -> None:
    for account in accounts:
        copy_of(video, account).with_suffix(".json").mkdir()
    with pytest.raises(StorageError):
        refresh(video)
    assert (Sidecar.objects.count(), StoredFile.objects.count(), StorageTask.objects.count()) == (0, 1, 0)


def test_a_copy_that_was_corrupted_is_not_believed(video: VideoStore, accounts: list[StorageAccount]) -> None:
    refresh(video)
    copy_of(video, accounts[0]).with_suffix(".json").write_bytes(b"junk")
    VideoStore.objects.update(title="Renamed")
    refresh(video)
    assert parse(lying(accounts[0])).revision == 2


def test_a_video_that_is_gone_or_has_no_known_content_has_none(video: VideoStore) -> None:
    VideoStore.objects.update(stored_file=None)
    assert refresh(video) is None
    VideoStore.objects.all().delete()
    assert refresh(video) is None


def test_what_a_manifest_that_no_table_knows_says_of_the_source_is_kept(
    video: VideoStore, accounts: list[StorageAccount]
) -> None:
    refresh(video, source={"video_url": "https://o.example/v.mp4"})
    Sidecar.objects.all().delete()
    StoredFile.objects.filter(path__endswith=".json").delete()
    refresh(video)
    manifest = parse(lying(accounts[1]))
    assert (manifest.source, manifest.revision) == ({"video_url": "https://o.example/v.mp4"}, 2)
    Sidecar.objects.all().delete()
    StoredFile.objects.filter(path__endswith=".json").delete()
    StoredFile.objects.update(sha256="c" * 64)
    refresh(video)
    manifest = parse(lying(accounts[1]))
    assert (manifest.source, manifest.revision) == ({}, 1), "it was of another content"


@pytest.mark.django_db(transaction=True)
def test_one_waits_for_the_other_that_writes_the_same_videos(video: VideoStore, accounts: list[StorageAccount]) -> None:
    archive(VideoKey(55825, 2, "animasu", None), accounts, b"other")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_lock(4712); CREATE FUNCTION stop_here() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " PERFORM pg_advisory_xact_lock(4712); RETURN NEW; END $$; CREATE TRIGGER stop_here BEFORE INSERT ON"
            " stored_file FOR EACH ROW EXECUTE FUNCTION stop_here()"
        )

    def write() -> None:
        try:
            refresh(video)
        finally:
            connection.close()

    threads = [threading.Thread(target=write) for _ in range(2)]
    try:
        threads[0].start()
        _wait_for_locks(1)
        threads[1].start()
        assert len(_wait_for_locks(2)) == 2, "the second must not come as far as the first"
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(4712)")
        for thread in threads:
            thread.join(60)
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION stop_here CASCADE")
    manifests = [parse(copy_of(video, account).with_suffix(".json").read_bytes()) for account in accounts]
    assert [manifest.revision for manifest in manifests] == [1, 1], "the second found it written"
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
        assert cursor.fetchone() == (0,)


def _wait_for_locks(number: int) -> set[int]:
    """What so many others wait for."""
    deadline = time.monotonic() + 20
    while True:
        with connection.cursor() as cursor:
            cursor.execute("SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            waiting = [row[0] for row in cursor.fetchall()]
        if len(waiting) == number:
            return set(waiting)
        assert time.monotonic() < deadline, f"{len(waiting)} wait"
        time.sleep(0.05)


def test_videos_of_older_versions_get_theirs(video: VideoStore, accounts: list[StorageAccount], capsys: Any) -> None:
    archive(VideoKey(55825, 2, "animasu", None), accounts, b"other")
    call_command("write_manifests", "--json")
    assert json.loads(capsys.readouterr().out) == {"written": 2, "failed": 0}
    assert Sidecar.objects.filter(kind="manifest").count() == 2
    call_command("write_manifests", "--json")
    assert json.loads(capsys.readouterr().out) == {"written": 0, "failed": 0}
