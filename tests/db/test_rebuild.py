"""The store is lost, and comes back from its accounts."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils.timezone import now

from queue_app import queue
from queue_app.models import JobEvent, VideoQueue
from queue_app.restored import ready_jobs
from storage_app.backends.base import StorageUnavailableError
from storage_app.confirming import Confirming
from storage_app.manifest import Manifest, of_video, parse, refresh
from storage_app.manifest_format import MAX_BYTES
from storage_app.models import (
    Orphan,
    PlacementPolicy,
    Replica,
    Sidecar,
    StorageAccount,
    StorageTask,
    StoredFile,
    Tombstone,
    VideoStore,
)
from storage_app.naming import VideoKey
from storage_app.rebuild import rebuild
from storage_app.upkeep.lease import NoBeat
from storage_app.upkeep.manifests import write_manifests
from storage_app.upkeep.reconcile import confirm_orphans, needed, reconcile
from tests.archive import archive, copy_of
from tests.playing import play

pytestmark = pytest.mark.django_db
Row = dict[str, Any]
Run = Callable[..., Row]

KEYS = [
    VideoKey(55825, 1, "animasu", "720p"),
    VideoKey(55825, 2, "animasu", None),
    VideoKey(7412345678901234567, 0, "douyin", None),
]
SHARING = VideoKey(55825, 3, "animasu", "480p")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command with --json; what it printed, its exit code and its complaints."""

    def call(command: str, *options: str) -> Row:
        code = 0
        try:
            call_command(command, *options, "--json")
        except SystemExit as end:
            code = int(str(end.code or 0))
        output = capsys.readouterr()
        return {**json.loads(output.out), "code": code, "said": output.err}

    return call


@pytest.fixture
def videos(accounts: list[StorageAccount]) -> list[VideoStore]:
    """Three archived videos, the first with subtitles, and a fourth one that has the first one's content."""
    made = [archive(key, accounts, bytes([number]) * (1000 + number)) for number, key in enumerate(KEYS)]
    add_subtitles(made[0], accounts)
    made.append(
        VideoStore.objects.create(
            mal_id=SHARING.mal_id, episode=SHARING.episode, provider=SHARING.provider, resolution=SHARING.resolution,
            file_key=SHARING.file_key("salt"), hf_account=2, hf_repo="local2/weaboo-55825", hf_path=made[0].hf_path,
            hf_direct_url="https://d.example/x.mp4", stream_url="https://s.example/stream/3", title="Die Dritte",
            stored_file=made[0].stored_file,
        )
    )  # fmt: skip
    for video in made:
        queue.enqueue_video(VideoKey(video.mal_id, video.episode, video.provider, video.resolution), source(video))
        refresh(video, source={"video_url": source(video) + "?sig=secret"})
    VideoQueue.objects.update(status="ready")
    return made


def source(video: VideoStore) -> str:
    return f"https://origin.example/{video.mal_id}/{video.episode}.mp4"


def add_subtitles(video: VideoStore, accounts: list[StorageAccount]) -> None:
    data = b"WEBVTT\n"
    file = StoredFile.objects.create(
        repo=video.hf_repo, path=video.hf_path.replace(".mp4", ".en.vtt"), sha256=hashlib.sha256(data).hexdigest(),
        size=len(data), duration=0, content_type="text/vtt",
    )  # fmt: skip
    for account in accounts:
        Replica.objects.create(stored_file=file, account=account)
        copy_of(video, account).with_suffix(".en.vtt").write_bytes(data)
    Sidecar.objects.create(video=video, stored_file=file, kind="subtitles", language="en", name="English")


def everything() -> dict[str, list[Row]]:
    """All that is to come back, without ids and times."""
    file = ("stored_file__repo", "stored_file__path", "stored_file__sha256")
    columns = [field.attname for field in VideoStore._meta.concrete_fields]
    rows = {
        "videos": VideoStore.objects.values(*(c for c in columns if c not in {"id", "stored_file_id"}), *file),
        "files": StoredFile.objects.values(
            "repo", "path", "sha256", "size", "duration", "content_type", "media", "proof"
        ),
        "sidecars": Sidecar.objects.values("video__episode", "kind", "language", "name", *file),
        "copies": Replica.objects.values("account_id", *file),
        "jobs": VideoQueue.objects.values("mal_id", "episode", "provider", "resolution", "status", "video_url"),
    }
    return {name: sorted(found, key=str) for name, found in rows.items()}


def lose_the_database() -> None:
    """All but the accounts, which come from the environment or an operator."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # else TRUNCATE waits for the end of the test's transaction
        cursor.execute("TRUNCATE video_queue, video_store, stored_file, tombstone, storage_task, storage_event CASCADE")
    assert not any(everything().values())


def manifest_at(video: VideoStore, account: StorageAccount) -> Path:
    return Path(account.root) / f"weaboo-{video.mal_id}/{video.mal_id}/ep{video.episode}/{video.file_key}.json"


# --- all comes back ---


@pytest.mark.usefixtures("videos")
@pytest.mark.parametrize("how", [(), ("--verify",), ("--readers", "1")], ids=["lists", "verify", "one reader"])
def test_a_lost_store_is_what_it_was(how: tuple[str, ...], run: Run) -> None:
    before = everything()
    lose_the_database()
    result = run("rebuild_store", *how)
    assert (result["code"], result["restored"], result["complete"], result["said"]) == (0, 4, True, "")
    assert everything() == before
    assert StorageTask.objects.count() == 0
    assert Replica.objects.filter(scrubbed_at=None).count() == (0 if "--verify" in how else 8)


@pytest.mark.usefixtures("videos")
def test_what_came_back_plays() -> None:
    lose_the_database()
    call_command("rebuild_store")
    for path in ("55825/1/animasu/720p", "55825/3/animasu/480p"):
        assert play(f"/stream/{path}").body == b"\0" * 1000
    assert play("/stream/7412345678901234567/0/douyin").body == b"\2" * 1002


@pytest.mark.usefixtures("videos")
def test_again_it_changes_nothing_and_reads_nothing(run: Run) -> None:
    lose_the_database()
    run("rebuild_store")
    before, ids = everything(), set(VideoStore.objects.values_list("pk", flat=True))
    again = run("rebuild_store")
    assert (again["code"], again["manifests"], again["restored"]) == (0, 0, 0)
    assert everything() == before
    assert set(VideoStore.objects.values_list("pk", flat=True)) == ids


@pytest.mark.usefixtures("videos")
def test_a_dry_run_says_the_same_and_writes_nothing(run: Run) -> None:
    lose_the_database()
    dry = run("rebuild_store", "--dry-run")
    assert (dry["restored"], dry["copies"], dry["dry_run"]) == (4, 16, True)
    assert not any(everything().values())
    assert run("rebuild_store") == dry | {"dry_run": False}


@pytest.mark.usefixtures("videos")
def test_small_batches_make_no_difference() -> None:
    before = everything()
    lose_the_database()
    *_, last = rebuild(ready_jobs("manage.py", "test"), batch=1, readers=1)
    assert (last.restored, last.manifests, last.complete) == (4, 4, True)
    assert everything() == before


@pytest.mark.usefixtures("videos")
def test_after_an_interruption_it_goes_on_where_it_was(run: Run) -> None:
    before = everything()
    lose_the_database()
    steps = rebuild(ready_jobs("manage.py", "test"), batch=1)
    while next(steps).restored < 2:
        pass
    steps.close()
    done = set(VideoStore.objects.values_list("pk", flat=True))
    result = run("rebuild_store")
    assert (len(done), result["manifests"], result["restored"]) == (2, 2, 2)
    assert everything() == before
    assert done < set(VideoStore.objects.values_list("pk", flat=True))


def test_history_says_who_made_the_job_ready(videos: list[VideoStore]) -> None:
    lose_the_database()
    call_command("rebuild_store")
    event = JobEvent.objects.first()
    assert event is not None
    assert (event.actor, event.to_status) == ("manage.py", "ready")
    assert event.reason == "Restored from the manifest on its storage accounts."
    assert (
        VideoQueue.objects.get(mal_id=videos[2].mal_id).created_at
        == VideoStore.objects.get(mal_id=videos[2].mal_id).created_at
    )


# --- only what is missing ---


def test_only_what_is_missing_is_added(videos: list[VideoStore], run: Run) -> None:
    before = everything()
    VideoQueue.objects.filter(episode=2).delete()
    videos[1].sidecars.all().delete()
    VideoStore.objects.filter(pk=videos[1].pk).delete()
    kept = VideoStore.objects.get(pk=videos[0].pk)
    result = run("rebuild_store")
    assert result["restored"] == 1
    assert VideoStore.objects.get(pk=kept.pk) == kept
    assert everything()["videos"] == before["videos"]
    assert everything()["jobs"] == before["jobs"]


def test_a_video_that_has_another_content_by_now_keeps_it(videos: list[VideoStore], run: Run) -> None:
    newer = StoredFile.objects.create(repo="r", path="other.mp4", sha256="c" * 64, size=1, duration=1)
    Sidecar.objects.filter(video=videos[1]).delete()
    VideoStore.objects.filter(pk=videos[1].pk).update(stored_file=newer)
    result = run("rebuild_store")
    assert (result["restored"], result["other_content"]) == (0, 1)
    assert VideoStore.objects.get(pk=videos[1].pk).stored_file == newer


def test_a_job_in_work_is_left_alone(videos: list[VideoStore], run: Run) -> None:
    lose_the_database()
    key = VideoKey(55825, 2, "animasu", None)
    queue.enqueue_video(key, source(videos[1]))
    queue.enqueue_video(KEYS[0], source(videos[0]))
    VideoQueue.objects.filter(episode=2).update(status="downloading")
    run("rebuild_store")
    assert dict(VideoQueue.objects.filter(mal_id=55825).values_list("episode", "status")) == {
        1: "ready", 2: "downloading", 3: "ready",
    }  # fmt: skip


def test_a_row_of_an_older_client_learns_its_content(videos: list[VideoStore], run: Run) -> None:
    VideoStore.objects.filter(pk=videos[1].pk).update(stored_file=None)
    Sidecar.objects.filter(video=videos[1]).delete()
    run("rebuild_store")
    assert VideoStore.objects.get(pk=videos[1].pk).stored_file == videos[1].stored_file


def test_what_was_deleted_on_purpose_stays_deleted(videos: list[VideoStore], run: Run) -> None:
    lose_the_database()
    Tombstone.objects.create(mal_id=55825, episode=2, provider="animasu", resolution=None, file_key="x")
    Tombstone.objects.create(
        mal_id=55825,
        episode=1,
        provider="animasu",
        resolution="720p",
        file_key="x",
        deleted_at=now() - timedelta(days=9),
    )
    result = run("rebuild_store")
    assert (result["restored"], result["deleted"]) == (3, 1)
    assert not VideoStore.objects.filter(episode=2).exists()


# --- accounts and copies that are not as they should be ---


def test_there_must_be_an_account() -> None:
    with pytest.raises(CommandError, match="under their old numbers"):
        call_command("rebuild_store")


def test_a_lost_account_leaves_the_videos_with_what_the_others_have(
    videos: list[VideoStore], accounts: list[StorageAccount], run: Run
) -> None:
    VideoStore.objects.filter(hf_account=1).update(hf_repo="local1/x")
    for video in videos:
        refresh(video)
    lose_the_database()
    shutil.rmtree(accounts[0].root)
    Path(accounts[0].root).mkdir()
    result = run("rebuild_store")
    assert (result["restored"], result["under_replicated"]) == (4, 7 + 1)
    row = VideoStore.objects.get(episode=2)
    assert (row.hf_account, row.hf_repo, row.hf_direct_url) == (2, "local2/weaboo-55825", row.stream_url)
    asked = set(StorageTask.objects.filter(kind="replicate").values_list("stored_file_id", flat=True))
    assert asked == set(StoredFile.objects.values_list("pk", flat=True))


@pytest.mark.usefixtures("videos")
def test_an_account_that_is_missing_or_another_one_is_named(accounts: list[StorageAccount], run: Run) -> None:
    lose_the_database()
    accounts[0].delete()
    StorageAccount.objects.filter(pk=2).update(username="other")
    result = run("rebuild_store")
    assert (result["code"], result["restored"], result["complete"]) == (1, 4, False)
    assert "account 1 (local, user name 'local1'): it does not exist here." in result["said"]
    assert "account 2 (local, user name 'local2'): here that number is local, user name 'other'." in result["said"]


@pytest.mark.usefixtures("videos")
def test_an_account_that_lists_nothing_is_named(accounts: list[StorageAccount], run: Run) -> None:
    lose_the_database()
    shutil.rmtree(accounts[1].root)
    Path(accounts[1].root).mkdir()
    result = run("rebuild_store")
    assert (result["code"], result["restored"], result["complete"]) == (1, 4, False)
    assert "Account 2 · local2 lists no object at all. Is its folder mounted" in result["said"]


@pytest.mark.usefixtures("accounts")
def test_a_rebuild_that_finds_nothing_does_not_end_well(accounts: list[StorageAccount], run: Run) -> None:
    for account in accounts:
        place = Path(account.root) / "weaboo-1" / "1" / "ep1" / "x.mp4"
        place.parent.mkdir(parents=True)
        place.write_bytes(b"video")
    result = run("rebuild_store")
    assert (result["code"], result["objects"], result["restored"]) == (1, 2, 0)
    assert "Nothing was restored: no account has a manifest" in result["said"]


@pytest.mark.usefixtures("videos")
def test_an_account_that_cannot_be_listed_is_named_and_the_others_restore(
    accounts: list[StorageAccount], run: Run
) -> None:
    lose_the_database()
    folder = Path(accounts[0].root) / "weaboo-55825"
    shutil.rmtree(accounts[0].root)
    folder.parent.write_text("not a folder")
    result = run("rebuild_store")
    assert result["restored"] == 4
    assert Replica.objects.filter(account=accounts[0]).count() == 0
    assert Replica.objects.filter(account=accounts[1]).count() == 8


def test_a_corrupted_manifest_is_taken_from_another_account(
    videos: list[VideoStore], accounts: list[StorageAccount], run: Run
) -> None:
    before = everything()
    lose_the_database()
    manifest_at(videos[0], accounts[0]).write_bytes(b'{"schema": 1,')
    result = run("rebuild_store")
    assert (result["restored"], result["refused"], result["under_replicated"]) == (4, 0, 1)
    assert "Account 1 · local1, manifest weaboo-55825/55825/ep1/" in result["said"]
    assert "It is not JSON" in result["said"]
    assert everything()["videos"] == before["videos"]


def test_one_that_nobody_has_whole_is_reported(
    videos: list[VideoStore], accounts: list[StorageAccount], run: Run
) -> None:
    lose_the_database()
    manifest_at(videos[0], accounts[0]).write_bytes(b"\xff")
    manifest_at(videos[0], accounts[1]).write_bytes(manifest_at(videos[1], accounts[1]).read_bytes())
    result = run("rebuild_store")
    assert (result["code"], result["restored"], result["refused"]) == (1, 3, 1)
    assert "not UTF-8" in result["said"]
    assert "lies where it shouldn't" in result["said"]


def test_one_of_a_newer_schema_says_to_update(
    videos: list[VideoStore], accounts: list[StorageAccount], run: Run
) -> None:
    lose_the_database()
    for account in accounts:
        manifest_at(videos[0], account).write_text('{"schema": 2}')
    result = run("rebuild_store")
    assert (result["restored"], result["refused"]) == (3, 1)
    assert "written by a newer Reelkeep" in result["said"]


def test_the_newest_manifest_wins(videos: list[VideoStore], accounts: list[StorageAccount], run: Run) -> None:
    old = manifest_at(videos[0], accounts[0]).read_bytes()
    VideoStore.objects.filter(pk=videos[0].pk).update(title="Renamed")
    refresh(videos[0])
    lose_the_database()
    manifest_at(videos[0], accounts[1]).write_bytes(old)
    run("rebuild_store")
    assert VideoStore.objects.get(episode=1).title == "Renamed"
    manifest = StoredFile.objects.get(path=f"55825/ep1/{videos[0].file_key}.json")
    assert [replica.account for replica in manifest.replicas.all()] == [accounts[0]]
    assert StorageTask.objects.get().stored_file == manifest


def test_a_copy_of_another_size_does_not_count(
    videos: list[VideoStore], accounts: list[StorageAccount], run: Run
) -> None:
    lose_the_database()
    copy_of(videos[1], accounts[0]).write_bytes(b"short")
    result = run("rebuild_store")
    assert "another content lies there (5 bytes; the manifest says 1001)" in result["said"]
    assert list(Replica.objects.filter(stored_file__videos__episode=2).values_list("account_id", flat=True)) == [2]


def test_a_rotten_copy_is_found_by_reading(videos: list[VideoStore], accounts: list[StorageAccount], run: Run) -> None:
    lose_the_database()
    copy_of(videos[1], accounts[0]).write_bytes(b"\7" * 1001)
    result = run("rebuild_store", "--verify")
    assert "another content lies there" in result["said"]
    assert list(Replica.objects.filter(stored_file__videos__episode=2).values_list("account_id", flat=True)) == [2]


def test_a_video_whose_file_is_nowhere_is_not_invented(
    videos: list[VideoStore], accounts: list[StorageAccount], run: Run
) -> None:
    lose_the_database()
    for account in accounts:
        copy_of(videos[1], account).unlink()
        copy_of(videos[0], account).with_suffix(".en.vtt").unlink()
    result = run("rebuild_store")
    assert (result["code"], result["restored"], result["without_copy"]) == (1, 3, 1)
    assert result["sidecars_without_copy"] == 1
    assert "55825 · episode 2 · animasu: no account has its file" in result["said"]
    assert not VideoStore.objects.filter(episode=2).exists()
    assert not Sidecar.objects.filter(kind="subtitles").exists()


@pytest.mark.usefixtures("videos")
def test_a_policy_that_wants_less_asks_for_no_more(run: Run) -> None:
    PlacementPolicy.objects.create(copies=1)
    third = StorageAccount.objects.create(index=3, kind="local", username="c", root="/nonexistent-account")
    lose_the_database()
    assert run("rebuild_store")["under_replicated"] == 0
    PlacementPolicy.objects.update(copies=3)
    lose_the_database()
    assert run("rebuild_store")["under_replicated"] == 8
    assert third.replicas.count() == 0


# --- as a list ---


@pytest.fixture
def exported(videos: list[VideoStore], tmp_path: Path) -> Path:
    """The list of all videos, which are lost then."""
    path = tmp_path / "videos.jsonl"
    call_command("export_manifest", "--output", str(path))
    return path


def test_an_exported_list_restores_the_store(exported: Path, run: Run) -> None:
    before = everything()
    lose_the_database()
    result = run("import_manifest", str(exported))
    assert (result["code"], result["restored"]) == (0, 4)
    after = everything()
    assert (after["videos"], after["jobs"]) == (before["videos"], before["jobs"])
    run("rebuild_store")
    assert everything() == before
    assert run("import_manifest", str(exported))["known"] == 4
    assert everything() == before


def test_manifests_of_an_imported_list_become_known(exported: Path, accounts: list[StorageAccount], run: Run) -> None:
    lose_the_database()
    run("import_manifest", str(exported))
    asked = StorageTask.objects.filter(kind="manifest")
    assert set(asked.values_list("stored_file_id", flat=True)) == set(
        VideoStore.objects.values_list("stored_file_id", flat=True)
    )
    for task in asked:
        write_manifests(task, NoBeat())
    assert Sidecar.objects.filter(kind="manifest").count() == 4
    for account in accounts:
        assert reconcile(account, NoBeat()).orphans == 0
    asked.delete()
    run("import_manifest", str(exported))
    assert not asked.exists()


# --- before it is done, nothing that it needs is removed ---


def orphans_of_two_days(accounts: list[StorageAccount]) -> None:
    for account in accounts:
        reconcile(account, NoBeat())
    Orphan.objects.update(found_at=now() - timedelta(days=2))


@pytest.mark.usefixtures("videos")
def test_what_a_rebuild_needs_is_not_removed(accounts: list[StorageAccount], run: Run, capsys: Any) -> None:
    before = everything()
    lose_the_database()
    stray = Path(accounts[0].root) / "weaboo-55825/55825/ep9/stray.mp4"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"stray")
    orphans_of_two_days(accounts)
    assert Orphan.objects.count() == 17
    result = run("orphans", "--confirm", "--all")
    assert (result["confirmed"], result["left"], result["needed_for_rebuild"]) == (1, 16, 16)
    assert StorageTask.objects.get().path == "55825/ep9/stray.mp4"
    call_command("orphans", "--confirm", "--all")
    assert "16 are left: they are manifests of videos that the tables don't know" in capsys.readouterr().out
    run("rebuild_store")
    assert everything() == before


def test_a_copy_whose_manifest_lies_on_another_account_is_not_removed(
    videos: list[VideoStore], accounts: list[StorageAccount]
) -> None:
    lose_the_database()
    manifest_at(videos[1], accounts[0]).unlink()
    orphans_of_two_days(accounts)
    orphan = Orphan.objects.get(account=accounts[0], path=videos[1].hf_path)
    assert needed([orphan.pk]) == {orphan.pk}
    assert confirm_orphans([orphan.pk], "ann") == 0


def test_what_is_left_of_a_deleted_video_may_be_removed(
    videos: list[VideoStore], accounts: list[StorageAccount]
) -> None:
    lose_the_database()
    video = videos[1]
    Tombstone.objects.create(mal_id=video.mal_id, episode=2, provider="animasu", file_key=video.file_key)
    orphans_of_two_days(accounts)
    assert confirm_orphans(Orphan.objects.values_list("pk", flat=True), "ann") == 4
    assert set(StorageTask.objects.values_list("path", flat=True)) == {
        video.hf_path, video.hf_path.replace(".mp4", ".json"),
    }  # fmt: skip


# --- lists ---


def test_a_list_is_one_manifest_a_line_without_secrets(exported: Path) -> None:
    lines = exported.read_bytes().splitlines(keepends=True)
    manifests = [parse(line) for line in lines]
    assert {manifest.key for manifest in manifests} == {*KEYS, SHARING}
    assert b"secret" not in exported.read_bytes()
    assert not exported.with_name("videos.jsonl.part").exists()


def test_a_list_goes_to_standard_output(videos: list[VideoStore], capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    VideoStore.objects.filter(pk=videos[1].pk).update(stored_file=None)
    call_command("export_manifest")
    output = capfdbinary.readouterr()
    assert len(output.out.splitlines()) == 3
    assert b"3 videos written, 1 without a known content left out." in output.err


def test_one_that_is_too_large_for_a_list_is_named_and_the_others_written(
    videos: list[VideoStore], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    VideoStore.objects.filter(pk=videos[1].pk).update(title="x" * MAX_BYTES)
    path = tmp_path / "videos.jsonl"
    with pytest.raises(SystemExit, match="1"):
        call_command("export_manifest", "--output", str(path))
    assert len(path.read_bytes().splitlines()) == 3
    assert "55825 · episode 2 · animasu: The manifest of" in capsys.readouterr().err


def test_a_copy_in_a_list_counts_only_if_it_is_confirmed(
    exported: Path, videos: list[VideoStore], accounts: list[StorageAccount], run: Run
) -> None:
    lose_the_database()
    copy_of(videos[1], accounts[0]).write_bytes(b"\7" * 1001)
    copy_of(videos[1], accounts[1]).unlink()
    result = run("import_manifest", str(exported))
    assert (result["code"], result["restored"], result["without_copy"]) == (1, 3, 1)


def test_lines_that_are_no_manifest_are_named_and_the_others_taken(exported: Path, run: Run) -> None:
    lose_the_database()
    exported.write_bytes(b"junk\n\n" + b"x" * 3_000_000 + b"\n" + exported.read_bytes())
    result = run("import_manifest", str(exported), "--dry-run")
    assert (result["code"], result["refused"], result["restored"]) == (1, 2, 4)
    assert "Line 1: It is not JSON" in result["said"]
    assert "Line 3: It has 1048577 bytes" in result["said"]
    assert VideoStore.objects.count() == 0


def test_a_list_that_is_not_there_is_named() -> None:
    with pytest.raises(CommandError, match="No such file"):
        call_command("import_manifest", "/nonexistent.jsonl")


def test_an_account_that_does_not_answer_is_soon_left_alone(
    videos: list[VideoStore], accounts: list[StorageAccount]
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    shutil.rmtree(accounts[0].root)
    Path(accounts[0].root).write_text("not a folder")
    manifest: Manifest = of_video(videos[0])
    with ThreadPoolExecutor(1) as pool:
        confirming = Confirming(accounts, pool)
        copies = confirming.by_stat([(manifest.file, account) for account in accounts for _ in range(9)], read=False)
        assert {copy.account for copy in copies[manifest.file]} == {accounts[1]}
        assert len(confirming.faults) == 4
        assert "failed 3 times in a row and is not asked any more" in " ".join(confirming.faults)
        confirming.give_up(accounts[1], StorageUnavailableError("off"))
        assert confirming.by_stat([(manifest.file, accounts[1])], read=True) == {manifest.file: []}
