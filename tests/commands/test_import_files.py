"""manage.py import_files."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils.timezone import now

from queue_app import queue
from queue_app.failures import BadSource, Cancelled
from queue_app.file_import import import_file, known_as
from queue_app.file_keys import Candidate
from queue_app.models import JobEvent, VideoQueue
from storage_app.manifest import key_of, parse
from storage_app.models import (
    PlacementPolicy,
    Replica,
    Sidecar,
    StorageAccount,
    StorageTask,
    StoredFile,
    VideoStore,
)
from storage_app.naming import VideoKey
from tests.archive import archive
from tests.playing import play
from tests.servers.videos import Videos

pytestmark = pytest.mark.django_db(transaction=True)
Import = Callable[..., dict[str, Any]]
KEY = VideoKey(55825, 1, "upload", None)
CHANGED = "The file changed while it was imported. Import it again once nobody writes to it."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "videos"
    made.mkdir()
    return made


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Import:
    """Imports the folder; what was told as JSON, with the exit code."""

    def call(*options: str) -> dict[str, Any]:
        code = 0
        try:
            call_command("import_files", str(folder), "--json", *options)
        except SystemExit as end:
            code = int(str(end.code or 0))
        return {**json.loads(capsys.readouterr().out), "code": code}

    return call


def put(folder: Path, name: str, source: Path | bytes) -> Path:
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(source, bytes):
        target.write_bytes(source)
    else:
        shutil.copy(source, target)
    return target


def reasons(result: dict[str, Any]) -> dict[str, str]:
    return {refused["file"]: refused["reason"] for refused in result["refused"]}


def played(key: VideoKey = KEY) -> bytes:
    return play(key.stream_path()).body


# --- what is taken in ---


def test_a_file_becomes_an_archived_video(
    folder: Path, run: Import, videos: Videos, accounts: list[StorageAccount]
) -> None:
    file = put(folder, "55825/ep1/Der Titel.mp4", videos.mp4)
    result = run()
    assert (result["code"], result["refused"], result["known"]) == (0, [], [])
    assert result["imported"] == [
        {"file": "55825/ep1/Der Titel.mp4", "video": "55825 · episode 1 · upload", "copies": 2}
    ]
    video = VideoStore.objects.get()
    assert (key_of(video), video.title, video.hf_account) == (KEY, "Der Titel", 1)
    assert (video.hf_repo, video.hf_path) == ("local1/weaboo-55825", KEY.path(settings.HF_FILE_SALT))
    assert played() == videos.mp4.read_bytes() == file.read_bytes()
    assert video.stored_file
    assert (video.stored_file.proof or {})["mode"] == "full"
    assert video.stored_file.media["container"] == "mp4"
    job = VideoQueue.objects.get()
    assert (job.status, job.lease_token, job.video_url) == ("ready", None, "file:Der Titel.mp4")
    assert JobEvent.objects.latest("id").reason == "Imported from a file."
    assert StorageTask.objects.count() == 0
    assert list((Path(settings.WORK_DIR)).glob("import-*")) == []


@pytest.mark.usefixtures("accounts")
def test_its_manifest_lies_beside_it(folder: Path, run: Import, videos: Videos, accounts: list[StorageAccount]) -> None:
    put(folder, "55825/ep1/a.mp4", videos.mp4)
    run()
    place = Path("weaboo-55825", KEY.path(settings.HF_FILE_SALT)).with_suffix(".json")
    datas = {(Path(account.root) / place).read_bytes() for account in accounts}
    assert parse(datas.pop()).key == KEY
    assert not datas
    sidecar = Sidecar.objects.get()
    assert (sidecar.kind, sidecar.stored_file.replicas.count()) == ("manifest", 2)


@pytest.mark.usefixtures("accounts")
def test_again_it_changes_nothing(folder: Path, run: Import, videos: Videos) -> None:
    put(folder, "55825/ep1/a.mp4", videos.mp4)
    run()
    before = list(VideoStore.objects.values())
    assert run() == {"dry_run": False, "imported": [], "known": ["55825/ep1/a.mp4"], "refused": [], "code": 0}
    assert list(VideoStore.objects.values()) == before


@pytest.mark.usefixtures("accounts")
def test_what_is_no_mp4_becomes_one(folder: Path, run: Import, videos: Videos) -> None:
    put(folder, "55825/ep1/a.mkv", videos.mkv)
    assert run()["code"] == 0
    assert played()[4:8] == b"ftyp"


@pytest.mark.usefixtures("accounts")
def test_thumbnail_and_subtitles_come_along(folder: Path, run: Import, videos: Videos) -> None:
    put(folder, "1/ep1/a.mp4", videos.mp4)
    put(folder, "1/ep1/a.jpg", b"\xff\xd8\xff")
    put(folder, "1/ep1/a.png", b"\x89PNG")
    put(folder, "1/ep1/a.en.vtt", b"WEBVTT\n")
    put(folder, "1/ep1/a.vtt", b"WEBVTT\n\n")
    put(folder, "1/ep1/a.not a tag.vtt", b"WEBVTT\n")
    put(folder, "1/ep1/b.de.vtt", b"WEBVTT\n")
    run()
    found = Sidecar.objects.exclude(kind="manifest").order_by("kind", "language")
    stem = VideoStore.objects.get().hf_path.removesuffix(".mp4")
    assert [(one.kind, one.language, one.stored_file.path.removeprefix(stem)) for one in found] == [
        ("subtitles", "", ".und.vtt"), ("subtitles", "en", ".en.vtt"), ("thumbnail", "", ".jpg"),
    ]  # fmt: skip


@pytest.mark.usefixtures("accounts")
def test_the_same_content_is_stored_once(folder: Path, run: Import, videos: Videos) -> None:
    for episode in (1, 2):
        put(folder, f"55825/ep{episode}/a.mp4", videos.mp4)
    assert len(run()["imported"]) == 2
    assert len({video.stored_file_id for video in VideoStore.objects.all()}) == 1
    assert StoredFile.objects.exclude(content_type="application/json").count() == 1
    assert played(VideoKey(55825, 2, "upload", None)) == videos.mp4.read_bytes()


@pytest.mark.usefixtures("accounts")
@pytest.mark.parametrize(("option", "left"), [("--move", False), ("--copy", True)])
def test_a_file_is_moved_only_if_asked(option: str, left: bool, folder: Path, run: Import, videos: Videos) -> None:
    good, bad = put(folder, "1/ep1/a.mp4", videos.mp4), put(folder, "1/ep2/a.mp4", b"junk")
    run(option)
    assert (good.exists(), bad.exists()) == (left, True)


@pytest.mark.usefixtures("accounts")
def test_a_dry_run_only_tells(folder: Path, run: Import, videos: Videos) -> None:
    put(folder, "1/ep1/a.mp4", videos.mp4)
    result = run("--dry-run", "--move")
    assert (result["dry_run"], len(result["imported"])) == (True, 1)
    assert not VideoQueue.objects.exists()
    assert (folder / "1/ep1/a.mp4").exists()


# --- which video a file is ---


@pytest.mark.parametrize(
    ("pattern", "name", "video"),
    [
        ("{mal_id}/ep{episode}/{provider}-{resolution}", "7/ep2/douyin-720p.mp4", "7 · episode 2 · douyin · 720p"),
        ("{any}[{mal_id}] {title} - {episode}", "x/y [7] A - B - 12.mkv", "7 · episode 12 · upload"),
        ("{mal_id}_{episode}", "7_0.MP4", "7 · episode 0 · upload"),
    ],
)
def test_a_pattern_tells_which_video_it_is(pattern: str, name: str, video: str, folder: Path, run: Import) -> None:
    put(folder, name, b"x")
    assert [one["video"] for one in run("--dry-run", "--pattern", pattern)["imported"]] == [video]


def test_what_does_not_fit_is_refused_with_its_reason(folder: Path, run: Import) -> None:
    put(folder, "odd.mp4", b"x")
    put(folder, "99999999999999999999/ep1/a.mp4", b"x")
    put(folder, ".hidden/ep1/a.mp4", b"x")
    put(folder, "notes.txt", b"x")
    (folder / "link.mp4").symlink_to(folder / "odd.mp4")
    result = run("--dry-run")
    assert result["code"] == 1
    assert reasons(result) == {
        "odd.mp4": "Its path does not fit the pattern {mal_id}/ep{episode}/{title}.",
        "99999999999999999999/ep1/a.mp4": "mal_id: Must be from 0 to 9223372036854775807.",
    }


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("{mal_id}/{what}", "but not what"),
        ("{mal_id}/{title}", "must name episode"),
        ("{mal_id}{mal_id}{episode}", "names mal_id more than once"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_explained(pattern: str, why: str, folder: Path) -> None:
    with pytest.raises(CommandError, match=why):
        call_command("import_files", str(folder), "--pattern", pattern)


def test_a_list_tells_which_video_it_is(folder: Path, run: Import, tmp_path: Path) -> None:
    put(folder, "a.mp4", b"x")
    put(tmp_path, "secret.mp4", b"x")
    listing = tmp_path / "list.csv"
    listing.write_text(
        "file,mal_id,episode,provider,resolution,title\n"
        "a.mp4,7,3,douyin,480p,A\n../secret.mp4,7,4,douyin,,\nnone.mp4,7,5,douyin,,\na.mp4,x,6,douyin,,\n"
    )
    result = run("--dry-run", "--csv", str(listing))
    assert [one["video"] for one in result["imported"]] == ["7 · episode 3 · douyin · 480p"]
    assert [one["reason"] for one in result["refused"]] == [
        "It does not lie in the folder.", "There is no such file.", "mal_id: Must be an integer.",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "why"), [("file,mal_id\n", "lacks episode"), ('file,mal_id,episode,provider\n"a', "can't be read")]
)
def test_a_list_that_cannot_be_read_is_explained(text: str, why: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(CommandError, match=why):
        call_command("import_files", str(folder), "--csv", str(tmp_path / "list.csv"))


@pytest.mark.usefixtures("accounts")
def test_a_manifest_beside_it_tells_which_video_it_is_and_what_it_should_hold(
    folder: Path, run: Import, videos: Videos, accounts: list[StorageAccount], tmp_path: Path
) -> None:
    put(folder, "55825/ep1/Der Titel.mp4", videos.mp4)
    run()
    root = Path(accounts[0].root) / "weaboo-55825"
    shutil.rmtree(folder)
    shutil.copytree(root, folder)
    VideoStore.objects.all().delete()
    StoredFile.objects.all().delete()
    again = run("--pattern", "{mal_id}-{episode}")
    assert (again["code"], len(again["imported"])) == (0, 1)
    assert VideoStore.objects.get().title == "Der Titel"
    Sidecar.objects.all().delete()
    VideoStore.objects.all().delete()
    next(folder.rglob("*.mp4")).write_bytes(videos.mkv.read_bytes())
    [why] = reasons(run()).values()
    assert why == "It is not the file that the manifest beside it describes: its size or sha256 is another."
    next(folder.rglob("*.json")).write_text('{"schema": 2, "key": {}, "file": {}}')
    [why] = reasons(run()).values()
    assert "written by a newer Reelkeep" in why


@pytest.mark.parametrize("text", ['{"id": "x", "schema": "v1"}', '{"schema": 1, "id": 5}', "not JSON", "[1]", ""])
def test_another_programs_json_beside_it_does_not_matter(text: str, folder: Path, run: Import) -> None:
    put(folder, "1/ep1/a.mp4", b"x")
    put(folder, "1/ep1/a.json", text.encode())
    assert [one["video"] for one in run("--dry-run")["imported"]] == ["1 · episode 1 · upload"]


# --- what is refused, and what goes wrong ---


@pytest.mark.usefixtures("accounts")
def test_what_is_not_whole_is_refused_and_the_others_taken(folder: Path, run: Import, videos: Videos) -> None:
    data = videos.mp4.read_bytes()
    put(folder, "1/ep1/cut.mp4", data[: len(data) // 2])
    put(folder, "1/ep2/page.mp4", b"<html>Not found</html>")
    put(folder, "1/ep3/good.mp4", videos.mp4)
    put(folder, "1/ep4/sound.mp4", videos.audio)
    put(folder, "1/ep5/empty.mp4", b"")
    result = run()
    assert (result["code"], [one["file"] for one in result["imported"]]) == (1, ["1/ep3/good.mp4"])
    assert set(reasons(result)) == {"1/ep1/cut.mp4", "1/ep2/page.mp4", "1/ep4/sound.mp4", "1/ep5/empty.mp4"}
    assert "web page" in reasons(result)["1/ep2/page.mp4"]
    assert VideoQueue.objects.count() == VideoStore.objects.count() == 1


def test_without_an_account_nothing_is_left_behind(folder: Path, run: Import, videos: Videos) -> None:
    put(folder, "55825/ep1/a.mp4", videos.mp4)
    assert "no enabled storage account" in reasons(run())["55825/ep1/a.mp4"]
    assert not VideoQueue.objects.exists()


def test_a_job_that_failed_before_is_as_it_was_when_no_account_takes_the_file(
    folder: Path, run: Import, videos: Videos, accounts: list[StorageAccount]
) -> None:
    job = queue.enqueue_video(KEY, "https://origin.example/v.mp4")
    VideoQueue.objects.update(status="failed", error_message="gone")
    for account in accounts:
        Path(account.root).write_text("not a folder")
    put(folder, "55825/ep1/a.mp4", videos.mp4)
    assert len(reasons(run())) == 1
    job.refresh_from_db()
    assert (job.status, job.error_message, job.artifact, job.lease_token) == ("failed", "gone", None, None)
    for account in accounts:
        Path(account.root).unlink()
    assert run()["code"] == 0
    job.refresh_from_db()
    assert (job.status, job.video_url) == ("ready", "https://origin.example/v.mp4")


def test_an_account_that_fails_gets_its_copies_later(
    folder: Path, run: Import, videos: Videos, accounts: list[StorageAccount]
) -> None:
    Path(accounts[0].root).write_text("not a folder")
    put(folder, "55825/ep1/a.mp4", videos.mp4)
    assert run()["imported"][0]["copies"] == 1
    assert VideoStore.objects.get().hf_account == 2
    assert StorageTask.objects.filter(kind="replicate").count() == 2  # the video and its manifest
    assert played() == videos.mp4.read_bytes()


def test_fewer_copies_than_the_policy_needs_are_not_enough(
    folder: Path, run: Import, videos: Videos, accounts: list[StorageAccount]
) -> None:
    PlacementPolicy.objects.create(minimum=2)
    Path(accounts[0].root).write_text("not a folder")
    put(folder, "55825/ep1/a.mp4", videos.mp4)
    assert run()["code"] == 1
    assert not VideoStore.objects.exists()


def test_no_more_copies_than_the_policy_wants_are_made(
    folder: Path, run: Import, videos: Videos, accounts: list[StorageAccount]
) -> None:
    policy = PlacementPolicy.objects.create(mal_id=55825, copies=1)
    policy.accounts.add(accounts[1])
    put(folder, "55825/ep1/a.mp4", videos.mp4)
    assert run()["imported"][0]["copies"] == 1
    assert set(Replica.objects.values_list("account_id", flat=True)) == {2}
    assert not StorageTask.objects.exists()


def test_another_account_takes_the_place_of_one_that_fails(
    folder: Path, run: Import, videos: Videos, accounts: list[StorageAccount]
) -> None:
    PlacementPolicy.objects.create(copies=1)
    Path(accounts[0].root).write_text("not a folder")
    put(folder, "55825/ep1/a.mp4", videos.mp4)
    assert run()["imported"][0]["copies"] == 1
    assert set(Replica.objects.values_list("account_id", flat=True)) == {2}


def test_more_copies_than_there_are_accounts_stay_wanted(
    folder: Path, run: Import, videos: Videos, accounts: list[StorageAccount]
) -> None:
    PlacementPolicy.objects.create(copies=3, minimum=3)
    put(folder, "55825/ep1/a.mp4", videos.mp4)
    assert run()["imported"][0]["copies"] == 2
    assert set(StoredFile.objects.values_list("copies_wanted", flat=True)) == {3}
    assert not StorageTask.objects.exists()


def test_an_account_that_rests_or_is_full_is_not_waited_for_in_vain(
    folder: Path, run: Import, videos: Videos, accounts: list[StorageAccount]
) -> None:
    PlacementPolicy.objects.create(minimum=2)
    StorageAccount.objects.filter(pk=2).update(paused_until=now() + timedelta(hours=1), pause_reason="full")
    put(folder, "55825/ep1/a.mp4", videos.mp4)
    assert "Only 1 accounts can take it now, and the policy asks for 2" in reasons(run())["55825/ep1/a.mp4"]
    StorageAccount.objects.filter(pk=2).update(paused_until=None, limit_bytes=1)
    assert "paused or full" in reasons(run())["55825/ep1/a.mp4"]


@contextmanager
def stopped_before_it_is_stored() -> Iterator[Callable[[], None]]:
    """Imports stop when their content is settled, until the function that is given is called; it waits for one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_lock(4711); CREATE FUNCTION stop_here() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " PERFORM pg_advisory_xact_lock(4711); RETURN NEW; END $$; CREATE TRIGGER stop_here BEFORE UPDATE ON"
            " video_queue FOR EACH ROW WHEN (NEW.artifact ? 'place') EXECUTE FUNCTION stop_here()"
        )

        def wait() -> None:
            deadline = time.monotonic() + 60
            cursor.execute("SELECT 0")
            while not cursor.fetchone()[0]:
                assert time.monotonic() < deadline, "no import came"
                time.sleep(0.05)
                cursor.execute(
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted"
                )

        try:
            yield wait
        finally:
            cursor.execute("SELECT pg_advisory_unlock(4711)")


@pytest.mark.usefixtures("accounts")
@pytest.mark.parametrize("same", [True, False], ids=["touched", "changed"])
def test_a_file_that_is_written_to_meanwhile_is_not_taken(
    same: bool, folder: Path, run: Import, videos: Videos
) -> None:
    put(folder, "55825/ep1/a.mp4", videos.mp4)
    run()  # now the accounts have the content, and read no other source of it
    file = put(folder, "55825/ep2/a.mp4", videos.mp4)
    failures: list[Exception] = []

    def importing() -> None:
        try:
            import_file(Candidate(file, "a.mp4"), VideoKey(55825, 2, "upload", None))
        except BadSource as error:
            failures.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=importing)
    with stopped_before_it_is_stored() as wait:
        thread.start()
        wait()
        data = videos.mp4.read_bytes()
        file.write_bytes(data if same else data[:-1] + bytes([data[-1] ^ 1]))
    thread.join(60)
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION stop_here CASCADE")
    assert [str(error) for error in failures] == ([] if same else [CHANGED])
    assert VideoStore.objects.filter(episode=2).exists() is same


@pytest.mark.usefixtures("accounts")
def test_what_a_worker_has_in_hand_is_left_to_it(folder: Path, run: Import, videos: Videos) -> None:
    queue.enqueue_video(KEY, "https://origin.example/v.mp4")
    VideoQueue.objects.update(status="downloading", lease_token=uuid4())
    put(folder, "55825/ep1/a.mp4", videos.mp4)
    assert reasons(run()) == {"55825/ep1/a.mp4": "55825 · episode 1 · upload is in work by a worker."}
    VideoQueue.objects.update(status="pending", lease_token=None)
    assert run()["code"] == 0
    assert VideoQueue.objects.get().status == "ready"


@pytest.mark.usefixtures("accounts")
@pytest.mark.parametrize("former", ["", "https://origin.example/v.mp4"])
def test_what_a_killed_import_had_in_hand_is_free_once_its_lease_has_run_out(
    former: str, folder: Path, run: Import, videos: Videos
) -> None:
    if former:
        queue.enqueue_video(KEY, former)
    with connection.cursor() as cursor:
        for worker in ("import-killed", "import-too-early"):
            cursor.execute(
                "SELECT id_ FROM begin_import(55825, 1, 'upload', NULL, 'file:a.mp4', %s, '{}', interval '1 hour')",
                [worker],
            )
            assert (cursor.fetchone() is None) == (worker == "import-too-early")
    file = put(folder, "55825/ep1/a.mp4", b"<html>")
    assert reasons(run()) == {"55825/ep1/a.mp4": "55825 · episode 1 · upload is in work by a worker."}
    VideoQueue.objects.update(lease_expires_at=now() - timedelta(seconds=1))
    assert "web page" in reasons(run())["55825/ep1/a.mp4"]
    shutil.copy(videos.mp4, file)
    assert run()["code"] == 0
    assert VideoQueue.objects.get().video_url == (former or "file:a.mp4")
    assert played() == videos.mp4.read_bytes()


@pytest.mark.usefixtures("accounts")
def test_one_that_loses_its_job_publishes_nothing(folder: Path, videos: Videos) -> None:
    candidate = Candidate(put(folder, "a.mp4", videos.mp4), "a.mp4", KEY)
    # The database takes the job away at the very moment when its content is settled.
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION take_away() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.lease_token := NULL;"
            " NEW.worker_id := 'other'; RETURN NEW; END $$; CREATE TRIGGER take_away BEFORE UPDATE ON video_queue"
            " FOR EACH ROW WHEN (NEW.artifact ? 'place') EXECUTE FUNCTION take_away()"
        )
    try:
        with pytest.raises(Cancelled):
            import_file(candidate, KEY)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION take_away CASCADE")
    assert not VideoStore.objects.exists()
    assert VideoQueue.objects.get().worker_id == "other"


@pytest.mark.usefixtures("accounts")
def test_content_that_is_being_stored_elsewhere_waits(folder: Path, run: Import, videos: Videos) -> None:
    put(folder, "55825/ep1/a.mp4", videos.mp4)
    run()
    sha256 = VideoStore.objects.get().stored_file_id and StoredFile.objects.get(content_type="video/mp4").sha256
    other = queue.enqueue_video(VideoKey(1, 1, "p", None), "https://origin.example/v.mp4")
    VideoQueue.objects.filter(pk=other.pk).update(
        status="uploading", lease_token=uuid4(), lease_expires_at=now(),
        artifact={"sha256": sha256, "place": ["r", "p"], "attempt": str(uuid4())},
    )  # fmt: skip
    put(folder, "55825/ep2/a.mp4", videos.mp4)
    assert "being stored for another video" in reasons(run())["55825/ep2/a.mp4"]
    assert not VideoQueue.objects.filter(episode=2).exists()


def test_a_folder_that_is_not_there_is_named() -> None:
    with pytest.raises(CommandError, match="is no folder"):
        call_command("import_files", "/nonexistent-folder")


@pytest.mark.parametrize("option", ["--move", "--copy"])
@pytest.mark.parametrize("place", ["root", "below", "above", "link"])
def test_the_folder_of_an_account_is_refused(
    option: str, place: str, run: Import, folder: Path, videos: Videos, accounts: list[StorageAccount], tmp_path: Path
) -> None:
    put(folder, "55825/ep1/a.mp4", videos.mp4)
    run()
    root = Path(accounts[0].root)
    (tmp_path / "link").symlink_to(root)
    before = sorted(tmp_path.rglob("*"))
    asked = {"root": root, "below": root / "weaboo-55825", "above": root.parent, "link": tmp_path / "link"}[place]
    with pytest.raises(CommandError, match="is a storage account's own folder; use rebuild_store"):
        call_command("import_files", str(asked), option, "--pattern", "{any}{mal_id}/ep{episode}/{title}")
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_known_is_told(accounts: list[StorageAccount]) -> None:
    assert known_as(KEY) == ""
    archive(KEY, accounts)
    assert known_as(KEY) == "archived"
