"""Five Hub accounts, three of which fail in their own ways: the video is ready all the same, and healed by itself."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.utils.timezone import now

from storage_app.credentials import seal
from storage_app.models import AccountKind, Replica, StorageAccount, StorageTask, TaskKind, VideoStore
from tests.servers.hub import Hub, Status, WrongHash
from tests.servers.origin import Origin
from tests.servers.videos import Videos
from tests.worker.conftest import StartWorker, add, eventually, finished

ALWAYS = 10**9
GOOD, CORRUPTING, FULL, DEAD = ("ann", "bea"), "cid", "dan", "eve"


@pytest.fixture
def accounts(db: None, hub: Hub) -> list[StorageAccount]:
    """In the place of the two folders that other tests of workers use."""
    hub.misbehave("paths-info", WrongHash(times=ALWAYS), user=CORRUPTING)
    hub.misbehave("*", Status(times=ALWAYS, code=503), user=DEAD)
    names = (*GOOD, CORRUPTING, FULL, DEAD)
    for name in names:
        hub.add_user(name, private_quota=1000 if name == FULL else 10**9)
    return [
        StorageAccount.objects.create(
            index=index,
            kind=AccountKind.HUGGINGFACE,
            username=name,
            endpoint=hub.endpoint,
            secret=seal(hub.user(name).token),
        )
        for index, name in enumerate(names, start=1)
    ]


def test_ready_with_two_of_five_and_healed_when_the_others_return(
    start_worker: StartWorker,
    origin: Origin,
    videos: Videos,
    hub: Hub,
    admin_client: Client,
) -> None:
    source = videos.mp4
    job = add(origin.put("/v.mp4", source.read_bytes()))
    start_worker(STORAGE_TIMEOUT="10", KEEPER="true")
    assert finished(job).status == "ready", job.error_message
    video = VideoStore.objects.select_related("stored_file").get()
    assert video.stored_file is not None
    assert (video.hf_account, video.stored_file.copies_wanted) == (1, 5)
    assert set(video.stored_file.replicas.values_list("account_id", flat=True)) == {1, 2}
    assert StorageTask.objects.filter(kind=TaskKind.REPLICATE, stored_file=video.stored_file).exists()
    assert str(video.pk) in admin_client.get("/admin/storage_app/videostore/?copies=under").content.decode()
    for index, name in enumerate((*GOOD, CORRUPTING, FULL, DEAD), start=1):
        assert (StorageAccount.objects.get(index=index).paused_until is None) == (name in GOOD)

    return_all(hub)
    wanted = {(index, kind) for index in range(1, 6) for kind in (".mp4", ".json")}
    eventually(lambda: held() == wanted)
    for name in (*GOOD, CORRUPTING, FULL, DEAD):
        content = hub.content(name, video.stored_file.repo, video.stored_file.path)
        assert hashlib.sha256(content).hexdigest() == hashlib.sha256(source.read_bytes()).hexdigest()
    assert str(video.pk) not in admin_client.get("/admin/storage_app/videostore/?copies=under").content.decode()
    eventually(lambda: not StorageTask.objects.filter(kind=TaskKind.REPLICATE).exists())


def return_all(hub: Hub) -> None:
    """The accounts are well again, and their pauses are over."""
    hub.misbehave("paths-info", user=CORRUPTING)
    hub.misbehave("*", user=DEAD)
    hub.user(FULL).private_quota = 10**9
    soon = now() + timedelta(seconds=0.5)
    StorageAccount.objects.filter(paused_until__gt=soon).update(paused_until=soon)
    StorageTask.objects.filter(not_before__gt=soon).update(not_before=soon)


def held() -> set[tuple[int, str]]:
    """Which account has confirmed what."""
    return {
        (account, Path(path).suffix) for account, path in Replica.objects.values_list("account_id", "stored_file__path")
    }
