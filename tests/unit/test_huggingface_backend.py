"""A Hugging Face account as a storage account, by Xet and by LFS."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from storage_app.backends import backend_for
from storage_app.backends.base import (
    ObjectMissingError,
    StorageAuthError,
    StorageError,
)
from storage_app.backends.hf_client import HubPlace
from storage_app.backends.huggingface import HuggingFaceBackend
from storage_app.backends.local import LocalBackend
from storage_app.credentials import seal
from storage_app.models import StorageAccount
from tests.servers.hub import Hub, Refuse
from tests.unit.huggingface import PATH, REPO, account, file_of, place, put, random_bytes

CAPTIONS = b"WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n"
CAPTIONS_PATH = "55825/ep1/0123456789abcdef.en.vtt"


@pytest.fixture(params=["xet", "lfs"])
def backend(request: pytest.FixtureRequest, hub: Hub, tmp_path: Path) -> HuggingFaceBackend:
    return account(hub, "ann", tmp_path, xet=request.param == "xet")


def test_what_is_put_comes_out_again(hub: Hub, backend: HuggingFaceBackend, tmp_path: Path) -> None:
    content = random_bytes(300_000)
    [stored] = put(backend, file_of(tmp_path, content))
    assert (stored.size, stored.sha256) == (300_000, hashlib.sha256(content).hexdigest())
    assert backend.stat(REPO, PATH) == stored
    assert b"".join(backend.open(REPO, PATH)) == content == hub.content("ann", REPO, PATH)


@pytest.mark.parametrize(("start", "end"), [(0, 10), (1000, 2000), (299_990, None), (299_990, 400_000), (7, 7)])
def test_a_part_of_it_can_be_read(backend: HuggingFaceBackend, tmp_path: Path, start: int, end: int | None) -> None:
    content = random_bytes(300_000)
    put(backend, file_of(tmp_path, content))
    assert b"".join(backend.open(REPO, PATH, start, end)) == content[start:end]


def test_nothing_lies_behind_the_end(backend: HuggingFaceBackend, tmp_path: Path) -> None:
    put(backend, file_of(tmp_path, random_bytes(1000)))
    assert list(backend.open(REPO, PATH, 1000)) == []


def test_the_files_of_a_video_are_one_commit(hub: Hub, backend: HuggingFaceBackend, tmp_path: Path) -> None:
    put(backend, file_of(tmp_path, random_bytes(50_000)), file_of(tmp_path, CAPTIONS, CAPTIONS_PATH))
    assert len(hub.repo("ann", REPO).commits) == 2  # the repository's own first one, and ours
    assert set(hub.files("ann", REPO)) == {PATH, CAPTIONS_PATH, "README.md"}


def test_the_files_come_back_in_the_order_of_the_call(backend: HuggingFaceBackend, tmp_path: Path) -> None:
    files = [file_of(tmp_path, CAPTIONS, CAPTIONS_PATH), file_of(tmp_path, random_bytes(5000), repo="weaboo-1")]
    stored = put(backend, *files, file_of(tmp_path, random_bytes(6000)))
    assert [one.size for one in stored] == [len(CAPTIONS), 5000, 6000]
    assert stored[0].sha256 == files[0].sha256


@pytest.mark.parametrize("visibility", ["private", "public"])
def test_the_repository_is_made_as_the_operator_wants_it(hub: Hub, tmp_path: Path, visibility: str) -> None:
    hub.add_user("ann")
    known = place(hub, "ann", tmp_path)
    backend = HuggingFaceBackend(HubPlace(known.endpoint, "ann", known.token, "weaboo", visibility, 5.0, tmp_path))
    put(backend, file_of(tmp_path, random_bytes(1000)))
    assert hub.repo("ann", REPO).private == (visibility == "private")


def test_the_card_says_what_the_repository_is(hub: Hub, backend: HuggingFaceBackend, tmp_path: Path) -> None:
    put(backend, file_of(tmp_path, random_bytes(1000)))
    assert b"Reelkeep" in hub.content("ann", REPO, "README.md")


def test_putting_it_again_sends_nothing(hub: Hub, backend: HuggingFaceBackend, tmp_path: Path) -> None:
    files = [file_of(tmp_path, random_bytes(400_000)), file_of(tmp_path, CAPTIONS, CAPTIONS_PATH)]
    first = put(backend, *files)
    before, commits = hub.received("ann").copy(), len(hub.repo("ann", REPO).commits)
    assert put(backend, *files) == first
    sent = hub.received("ann") - before
    assert set(sent) == {"api"}
    assert sent["api"] < 10_000
    assert len(hub.repo("ann", REPO).commits) == commits


def test_another_content_takes_the_place(hub: Hub, backend: HuggingFaceBackend, tmp_path: Path) -> None:
    put(backend, file_of(tmp_path, random_bytes(10_000)))
    later = random_bytes(20_000)
    put(backend, file_of(tmp_path, later))
    assert hub.content("ann", REPO, PATH) == later


def test_a_small_text_is_hashed_too(backend: HuggingFaceBackend, tmp_path: Path) -> None:
    put(backend, file_of(tmp_path, CAPTIONS, CAPTIONS_PATH))
    stored = backend.stat(REPO, CAPTIONS_PATH)
    assert (stored.size, stored.sha256) == (len(CAPTIONS), hashlib.sha256(CAPTIONS).hexdigest())
    assert b"".join(backend.open(REPO, CAPTIONS_PATH, 3)) == CAPTIONS[3:]


@pytest.mark.parametrize("repo", [REPO, "weaboo-404"])
def test_what_is_not_there_is_missing(backend: HuggingFaceBackend, tmp_path: Path, repo: str) -> None:
    put(backend, file_of(tmp_path, random_bytes(1000), "55825/ep2/other.mp4"))
    with pytest.raises(ObjectMissingError):
        backend.stat(repo, PATH)
    with pytest.raises(ObjectMissingError):
        list(backend.open(repo, PATH))


def test_a_deleted_object_frees_its_room(backend: HuggingFaceBackend, tmp_path: Path) -> None:
    put(backend, file_of(tmp_path, random_bytes(100_000)))
    assert backend.capacity().used > 100_000
    backend.delete(REPO, PATH)
    assert list(backend.list()) == []
    assert backend.capacity().used < 10_000


def test_deleting_spares_the_same_content_under_another_name(
    hub: Hub, backend: HuggingFaceBackend, tmp_path: Path
) -> None:
    content = random_bytes(10_000)
    put(backend, file_of(tmp_path, content), file_of(tmp_path, content, "55825/ep2/twin.mp4"))
    backend.delete(REPO, PATH)
    assert hub.content("ann", REPO, "55825/ep2/twin.mp4") == content


def test_deleting_what_is_not_there_is_no_error(backend: HuggingFaceBackend, tmp_path: Path) -> None:
    backend.delete("weaboo-404", PATH)
    put(backend, file_of(tmp_path, random_bytes(1000)))
    backend.delete(REPO, PATH)
    backend.delete(REPO, PATH)


def test_a_list_has_every_object_of_ours_on_all_its_pages(
    hub: Hub, backend: HuggingFaceBackend, tmp_path: Path
) -> None:
    hub.page_size = 2
    files = [file_of(tmp_path, random_bytes(2000 + n), f"1/ep{n}/a.mp4", f"weaboo-{n % 3}") for n in range(8)]
    put(backend, *files, file_of(tmp_path, CAPTIONS, CAPTIONS_PATH), file_of(tmp_path, CAPTIONS, "a.txt", "holidays-1"))
    listed = {(one.repo, one.path): (one.size, one.sha256) for one in backend.list()}
    expected = {(file.repo, file.path): (file.size, file.sha256) for file in files}
    assert listed == expected | {(REPO, CAPTIONS_PATH): (len(CAPTIONS), None)}


def test_a_list_of_one_repository(backend: HuggingFaceBackend, tmp_path: Path) -> None:
    put(backend, file_of(tmp_path, random_bytes(2000)), file_of(tmp_path, random_bytes(2000), repo="weaboo-1"))
    assert [(one.repo, one.path) for one in backend.list("weaboo-1")] == [("weaboo-1", PATH)]
    assert list(backend.list("weaboo-404")) == []


def test_an_account_without_repositories_is_empty(backend: HuggingFaceBackend) -> None:
    assert list(backend.list()) == []
    assert backend.capacity().used == 0


def test_the_direct_url_is_the_one_of_the_contract(hub: Hub, backend: HuggingFaceBackend) -> None:
    assert backend.direct_url(REPO, "1/ep1/a b.mp4") == (
        f"{hub.endpoint}/datasets/ann/{REPO}/resolve/main/1/ep1/a%20b.mp4"
    )


def test_without_an_endpoint_it_is_the_public_hub(tmp_path: Path) -> None:
    backend = HuggingFaceBackend(HubPlace("", "ann", "hf_x", "weaboo", "private", 5.0, tmp_path))
    assert backend.direct_url(REPO, PATH) == f"https://huggingface.co/datasets/ann/{REPO}/resolve/main/{PATH}"


def test_progress_grows_up_to_the_whole(backend: HuggingFaceBackend, tmp_path: Path) -> None:
    seen: list[int] = []
    files = [file_of(tmp_path, random_bytes(2_000_000)), file_of(tmp_path, CAPTIONS, CAPTIONS_PATH)]
    backend.put(files, seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == sum(file.size for file in files)


class Stop(Exception):
    pass


def test_progress_can_stop_the_transfer(hub: Hub, backend: HuggingFaceBackend, tmp_path: Path) -> None:
    def stop(_done: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        backend.put([file_of(tmp_path, random_bytes(3_000_000))], stop)
    assert hub.files("ann", REPO) == {}


def test_large_files_go_in_parts_where_lfs_wants_that(hub: Hub, tmp_path: Path) -> None:
    hub.multipart_over, hub.part_size = 1_000_000, 400_000
    content = random_bytes(1_500_000)
    put(account(hub, "ann", tmp_path, xet=False), file_of(tmp_path, content))
    assert hub.count("part") == 4
    assert hub.content("ann", REPO, PATH) == content


def test_a_hub_without_xet_gets_lfs(hub: Hub, tmp_path: Path) -> None:
    hub.misbehave("xet-write-token", Refuse(code=404, message="Not found"))
    content = random_bytes(100_000)
    put(account(hub, "ann", tmp_path), file_of(tmp_path, content))
    assert hub.received("ann")["lfs"] == 100_000
    assert hub.content("ann", REPO, PATH) == content


def test_the_token_stays_with_the_hub(hub: Hub, backend: HuggingFaceBackend, tmp_path: Path) -> None:
    put(backend, file_of(tmp_path, random_bytes(100_000)))
    list(backend.open(REPO, PATH))
    assert hub.count("cdn") > 1
    assert hub.tokens_leaked == 0
    assert "hf_ann" not in repr(backend.place)


@pytest.mark.parametrize(
    ("repo", "path"),
    [("r", "../a"), ("r", "a//b"), ("r", "/a"), ("r", ""), ("a/b", "c"), ("r", ".git/config"), ("..", "a")],
)
def test_no_name_leads_elsewhere(backend: HuggingFaceBackend, tmp_path: Path, repo: str, path: str) -> None:
    with pytest.raises(StorageError):
        put(backend, file_of(tmp_path, b"x" * 10, path, repo))
    with pytest.raises(StorageError):
        backend.stat(repo, path)
    with pytest.raises(StorageError):
        backend.delete(repo, path)


def test_a_name_that_the_hub_does_not_take_is_said_so(backend: HuggingFaceBackend, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="name"):
        put(backend, file_of(tmp_path, b"x" * 10, repo="weaboo--1"))


@pytest.mark.parametrize("token", ["", "hf_with space", "hf_ümlaut", "hf_x\r\nHost: evil"])
def test_what_cannot_be_a_token_is_refused_before_any_request(hub: Hub, tmp_path: Path, token: str) -> None:
    hub.add_user("ann")
    known = place(hub, "ann", tmp_path)
    backend = HuggingFaceBackend(HubPlace(known.endpoint, "ann", token, "weaboo", "private", 5.0, tmp_path))
    with pytest.raises(StorageAuthError, match="no usable token"):
        put(backend, file_of(tmp_path, b"x" * 10))
    assert hub.requests == []


def test_a_token_of_somebody_else_is_named(hub: Hub, tmp_path: Path) -> None:
    put(account(hub, "ann", tmp_path), file_of(tmp_path, random_bytes(1000)))
    hub.add_user("bob")
    backend = HuggingFaceBackend(HubPlace(hub.endpoint, "ann", "hf_bob", "weaboo", "private", 5.0, tmp_path))
    with pytest.raises(StorageAuthError, match="belongs to bob"):
        backend.stat(REPO, PATH)
    with pytest.raises(StorageAuthError, match="belongs to bob"):
        put(backend, file_of(tmp_path, random_bytes(1000)))


def test_an_account_of_the_database_is_spoken_for(hub: Hub, tmp_path: Path) -> None:
    hub.add_user("ann")
    sealed = StorageAccount(
        index=1,
        kind="huggingface",
        username="ann",
        endpoint=f"{hub.endpoint}/",
        secret=seal(" hf_ann\n"),
        secret_env="",
    )
    backend = backend_for(sealed)
    assert isinstance(backend, HuggingFaceBackend)
    put(backend, file_of(tmp_path, random_bytes(1000)))
    assert [one.repo for one in backend.list()] == [REPO]


def test_whose_the_token_is_is_asked_once(hub: Hub, tmp_path: Path) -> None:
    for number in range(3):
        with pytest.raises(ObjectMissingError):
            account(hub, "ann", tmp_path).stat(f"weaboo-{number}", PATH)
    assert hub.count("whoami") == 1


def test_a_hub_that_does_not_copy_is_no_failure(hub: Hub, tmp_path: Path) -> None:
    file, source = file_of(tmp_path, random_bytes(1000)), account(hub, "ann", tmp_path)
    put(source, file)
    hub.repo("ann", REPO).private = False
    hub.misbehave("duplicate", Refuse(code=404, message="Not found"))
    assert account(hub, "bob", tmp_path).copy_from(source, file) is None


def test_a_copy_moves_no_bytes(hub: Hub, tmp_path: Path) -> None:
    content = random_bytes(500_000)
    file = file_of(tmp_path, content)
    put(account(hub, "ann", tmp_path), file)
    hub.repo("ann", REPO).private = False
    backend, file = account(hub, "bob", tmp_path), file_of(tmp_path, content)
    file.source.unlink()
    stored = backend.copy_from(account(hub, "ann", tmp_path), file)
    assert stored == backend.stat(REPO, PATH)
    assert hub.content("bob", REPO, PATH) == content
    assert sum(hub.received("bob").values()) < 20_000
    assert b"Reelkeep" in hub.content("bob", REPO, "README.md")


def test_what_cannot_be_copied_there_is_not(hub: Hub, tmp_path: Path) -> None:
    file = file_of(tmp_path, random_bytes(1000))
    source = account(hub, "ann", tmp_path)
    put(source, file)
    backend = account(hub, "bob", tmp_path)
    assert backend.copy_from(source, file) is None  # private
    assert backend.copy_from(LocalBackend(tmp_path), file) is None
    hub.repo("ann", REPO).private = False
    assert backend.copy_from(source, file_of(tmp_path, random_bytes(1000))) is None  # another content
    assert f"bob/{REPO}" not in hub.state.repos


def test_what_lies_in_lfs_only_cannot_be_copied(hub: Hub, tmp_path: Path) -> None:
    file = file_of(tmp_path, random_bytes(1000))
    source = account(hub, "ann", tmp_path, xet=False)
    put(source, file)
    hub.repo("ann", REPO).private = False
    assert account(hub, "bob", tmp_path).copy_from(source, file) is None
