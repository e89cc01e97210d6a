"""The Hub that tests play, against the unmodified client: what it takes in, gives back and refuses."""

from __future__ import annotations

import hashlib
import http.client
import io
import random
import struct
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, HfApi
from huggingface_hub.errors import (
    BadRequestError,
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile

from tests.servers.hub import (
    Cut,
    CutUpload,
    Damage,
    Empty,
    Hub,
    LoseAnswer,
    Refuse,
    Revoke,
    Silence,
    Stall,
    WrongHash,
    WrongSize,
    busy,
    full,
)


@dataclass
class Account:
    """A user's client and its one repository."""

    api: HfApi
    repo: str

    def by_lfs(self, content: bytes, path: str = "v.mp4") -> None:
        """Upload a buffer, which the client can't send by Xet."""
        source = io.BytesIO(content)
        self.api.upload_file(path_or_fileobj=source, path_in_repo=path, repo_id=self.repo, repo_type="dataset")

    def by_xet(self, content: bytes, path: str = "v.mp4") -> None:
        """Upload bytes."""
        self.api.upload_file(path_or_fileobj=content, path_in_repo=path, repo_id=self.repo, repo_type="dataset")

    def paths(self) -> list[str]:
        """What the client sees."""
        return self.api.list_repo_files(self.repo, repo_type="dataset")

    def commit(self, *operations: CommitOperationAdd | CommitOperationCopy) -> None:
        """Send a commit."""
        self.api.create_commit(self.repo, operations, commit_message="test", repo_type="dataset")

    def url(self, path: str = "v.mp4") -> str:
        """Where the second origin serves a file."""
        url = f"{self.api.endpoint}/datasets/{self.repo}/resolve/main/{path}"
        return self.api.get_hf_file_metadata(url=url).location


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make hf_xet forget what it sent: give it another folder."""

    def use(name: str) -> None:
        monkeypatch.setenv("HF_HOME", str(tmp_path / name))

    use("first")
    return use


@pytest.fixture
def join(hub: Hub, home: Callable[[str], None]) -> Callable[..., Account]:
    """Add a user with a repository `videos`."""

    def add(name: str, *, private: bool = True, **more: int) -> Account:
        user = hub.add_user(name, **more)
        api = HfApi(hub.endpoint, user.token)
        api.create_repo(f"{name}/videos", repo_type="dataset", visibility="private" if private else "public")
        return Account(api, f"{name}/videos")

    return add


@pytest.fixture
def ann(join: Callable[..., Account]) -> Account:
    """A user."""
    return join("ann")


@pytest.fixture(scope="module")
def film() -> bytes:
    """20 MB: noise, text that repeats, and floats that pack best byte by byte."""
    chance = random.Random(5)
    floats = b"".join(struct.pack("<f", 1000 + chance.random()) for _ in range(500_000))
    text = b"".join(b"frame %d of the film\n" % number for number in range(300_000))
    return chance.randbytes(10_000_000) + text[:4_000_000] + floats + text[:4_000_000]


def get(url: str, **headers: str) -> tuple[int, bytes]:
    """The status and the body; redirects aren't followed to elsewhere with our headers."""
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_a_file_sent_by_lfs_is_kept_whole(hub: Hub, ann: Account, film: bytes) -> None:
    ann.by_lfs(film)
    assert hub.content("ann", "videos", "v.mp4") == film
    assert hub.received("ann")["lfs"] == len(film)
    assert hub.count("batch") == hub.count("put") == hub.count("verify") == hub.count("commit") == 1


def test_a_large_file_goes_by_lfs_in_parts(hub: Hub, ann: Account, film: bytes) -> None:
    hub.multipart_over, hub.part_size = 10_000_000, 6_000_000
    ann.by_lfs(film)
    assert hub.content("ann", "videos", "v.mp4") == film
    assert (hub.count("part"), hub.count("complete")) == (4, 1)


def test_a_file_sent_by_xet_is_rebuilt_from_its_chunks(hub: Hub, ann: Account, film: bytes) -> None:
    ann.by_xet(film)
    entry = hub.files("ann", "videos")["v.mp4"]
    assert hub.content("ann", "videos", "v.mp4") == film
    assert entry.sha256 == hub.sha256("ann", "videos", "v.mp4") == hashlib.sha256(film).hexdigest()
    assert 10_000_000 < hub.received("ann")["xorb"] < 15_000_000


def test_all_three_ways_to_pack_a_chunk_are_understood(hub: Hub, ann: Account, film: bytes) -> None:
    ann.by_xet(film)
    assert {chunk.scheme for xorb in hub.cas.xorbs.values() for chunk in xorb.chunks} == {0, 1, 2}


def test_the_client_downloads_by_xet_what_it_sent(hub: Hub, ann: Account, film: bytes, tmp_path: Path) -> None:
    ann.by_xet(film, "a/v.mp4")
    path = ann.api.hf_hub_download(ann.repo, "a/v.mp4", repo_type="dataset", local_dir=tmp_path / "download")
    assert Path(path).read_bytes() == film
    assert hub.count("reconstruction") == 1


def test_what_one_user_sent_by_xet_another_needs_not_send(
    hub: Hub, ann: Account, join: Callable[..., Account], home: Callable[[str], None], film: bytes
) -> None:
    ann.by_xet(film)
    bob = join("bob")
    home("second")
    bob.by_xet(film)
    assert hub.content("bob", "videos", "v.mp4") == film
    assert hub.received("bob")["xorb"] == 0
    assert sum(hub.received("bob").values()) < 20_000


@pytest.mark.parametrize("send", [Account.by_lfs, Account.by_xet])
def test_the_same_file_again_sends_nothing(hub: Hub, ann: Account, film: bytes, send: Callable[..., None]) -> None:
    send(ann, film)
    before = hub.received("ann")["lfs"] + hub.received("ann")["xorb"]
    send(ann, film)
    assert hub.received("ann")["lfs"] + hub.received("ann")["xorb"] == before
    assert hub.count("commit") == 1


def test_a_small_text_lies_in_git_itself(hub: Hub, ann: Account) -> None:
    ann.by_xet(b"---\nlicense: other\n---\nVideos.\n", "README.md")
    entry = hub.files("ann", "videos")["README.md"]
    assert (entry.sha256, entry.size, hub.count("xet-write-token")) == (None, 31, 0)
    assert ann.api.hf_hub_download(ann.repo, "README.md", repo_type="dataset")


def test_a_file_can_be_deleted(hub: Hub, ann: Account) -> None:
    ann.by_lfs(b"1", "a/1.mp4")
    ann.by_lfs(b"2", "a/2.mp4")
    ann.api.delete_file("a/1.mp4", ann.repo, repo_type="dataset")
    assert set(hub.files("ann", "videos")) == {"a/2.mp4"}
    with pytest.raises(EntryNotFoundError):
        ann.api.delete_file("a/1.mp4", ann.repo, repo_type="dataset")


def test_a_deleted_file_counts_until_it_is_deleted_for_good(ann: Account) -> None:
    ann.by_lfs(bytes(1000))
    ann.api.delete_file("v.mp4", ann.repo, repo_type="dataset")
    assert _storage(ann) > 1000
    ann.api.permanently_delete_lfs_files(
        ann.repo, ann.api.list_lfs_files(ann.repo, repo_type="dataset"), repo_type="dataset"
    )
    assert 0 < _storage(ann) < 1000


def _storage(account: Account) -> int:
    return sum(repo.storage for repo in account.api.list_user_repos())


def test_lists_come_in_pages(hub: Hub, ann: Account) -> None:
    names = [f"a/{number}.mp4" for number in range(7)]
    ann.commit(*(CommitOperationAdd(name, name.encode()) for name in names))
    hub.page_size = 3
    assert set(ann.paths()) == {".gitattributes", *names}
    assert hub.count("tree") == 3
    found = ann.api.get_paths_info(ann.repo, ["a", "a/1.mp4", "gone"], repo_type="dataset")
    assert [one.path for one in found] == ["a/1.mp4", "a"]


def test_a_list_tells_size_and_hash(ann: Account) -> None:
    ann.by_lfs(b"content", "a/b/v.mp4")
    (told,) = ann.api.get_paths_info(ann.repo, "a/b/v.mp4", repo_type="dataset")
    assert isinstance(told, RepoFile)
    assert (told.size, told.lfs and told.lfs.sha256) == (7, hashlib.sha256(b"content").hexdigest())
    top = [one.path for one in ann.api.list_repo_tree(ann.repo, repo_type="dataset")]
    assert top == [".gitattributes", "a"]


def test_every_commit_stays_readable(ann: Account) -> None:
    ann.by_lfs(b"old")
    old = ann.api.dataset_info(ann.repo).sha
    ann.by_lfs(b"new")
    url = f"{ann.api.endpoint}/datasets/{ann.repo}/resolve/{old}/v.mp4"
    assert get(ann.api.get_hf_file_metadata(url=url).location) == (200, b"old")
    assert [one.title for one in ann.api.list_repo_commits(ann.repo, repo_type="dataset")][-1] == "initial commit"
    with pytest.raises(RevisionNotFoundError):
        ann.api.dataset_info(ann.repo, revision="other")


def test_a_file_is_copied_without_its_bytes(hub: Hub, ann: Account) -> None:
    ann.by_lfs(b"content")
    ann.commit(CommitOperationCopy("v.mp4", "b/w.mp4"))
    assert hub.content("ann", "videos", "b/w.mp4") == b"content"
    assert hub.count("put") == 1


def test_a_public_file_is_copied_to_another_user(hub: Hub, join: Callable[..., Account]) -> None:
    ann, bob = join("ann", private=False), join("bob")
    ann.by_xet(b"content")
    bob.commit(CommitOperationCopy("v.mp4", "w.mp4", src_repo_id=ann.repo, src_repo_type="dataset"))
    assert hub.content("bob", "videos", "w.mp4") == b"content"
    assert hub.received("bob")["xorb"] == 0


def test_a_private_file_is_not_copied_to_another_user(ann: Account, join: Callable[..., Account]) -> None:
    ann.by_xet(b"content")
    with pytest.raises(RepositoryNotFoundError):
        join("bob").commit(CommitOperationCopy("v.mp4", "w.mp4", src_repo_id=ann.repo, src_repo_type="dataset"))


def test_the_second_origin_serves_ranges_to_whoever_has_the_url(hub: Hub, ann: Account, film: bytes) -> None:
    ann.by_xet(film)
    url = ann.url()
    assert url.startswith(hub.storage_endpoint)
    assert get(url, Range="bytes=13999990-14000010") == (206, film[13_999_990:14_000_011])
    assert get(url, Range="bytes=-5") == (206, film[-5:])
    assert get(url, Range=f"bytes={len(film)}-")[0] == 416
    assert get(url.replace("v.mp4", "w.mp4"))[0] == 403


def test_a_signed_url_expires(hub: Hub, ann: Account) -> None:
    ann.by_lfs(b"content")
    hub.url_lifetime = 0
    assert get(ann.url())[0] == 403


def test_a_token_at_the_second_origin_is_noticed(hub: Hub, ann: Account) -> None:
    ann.by_lfs(b"content")
    get(ann.url(), Authorization="Bearer hf_ann")
    assert hub.tokens_leaked == 1


def test_metadata_is_told_before_the_redirect(hub: Hub, ann: Account) -> None:
    ann.by_lfs(b"content")
    told = ann.api.get_hf_file_metadata(url=f"{hub.endpoint}/datasets/{ann.repo}/resolve/main/v.mp4")
    assert (told.size, told.etag) == (7, hashlib.sha256(b"content").hexdigest())
    assert told.commit_hash == hub.repo("ann", "videos").head.oid


def test_a_wrong_token_is_refused(hub: Hub, ann: Account) -> None:
    with pytest.raises(HfHubHTTPError) as failure:
        HfApi(hub.endpoint, "hf_wrong").dataset_info(ann.repo)
    assert (failure.type, failure.value.response.status_code) == (HfHubHTTPError, 401)
    assert ann.api.whoami()["name"] == "ann"


def test_a_private_repository_does_not_exist_for_others(hub: Hub, ann: Account, join: Callable[..., Account]) -> None:
    for api, status in ((join("bob").api, 404), (HfApi(hub.endpoint, token=False), 401)):
        with pytest.raises(RepositoryNotFoundError) as failure:
            api.dataset_info(ann.repo)
        assert failure.value.response.status_code == status


def test_a_public_repository_is_read_by_all_and_written_by_one(hub: Hub, join: Callable[..., Account]) -> None:
    ann, bob = join("ann", private=False), join("bob")
    ann.by_lfs(b"content")
    assert "v.mp4" in HfApi(hub.endpoint, token=False).list_repo_files(ann.repo, repo_type="dataset")
    with pytest.raises(HfHubHTTPError) as failure:
        Account(bob.api, ann.repo).by_lfs(b"other")
    assert failure.value.response.status_code == 403


def test_a_repository_is_made_once(hub: Hub, ann: Account) -> None:
    url = ann.api.create_repo(ann.repo, repo_type="dataset", exist_ok=True)
    assert url == f"{hub.endpoint}/datasets/ann/videos"
    with pytest.raises(HfHubHTTPError, match="409"):
        ann.api.create_repo(ann.repo, repo_type="dataset")
    with pytest.raises(HfHubHTTPError, match="403"):
        ann.api.create_repo("bob/videos", repo_type="dataset")


def test_a_repository_can_be_deleted_and_shown(hub: Hub, ann: Account) -> None:
    ann.api.update_repo_settings(ann.repo, visibility="public", repo_type="dataset")
    assert not hub.repo("ann", "videos").private
    ann.api.delete_repo(ann.repo, repo_type="dataset")
    assert not ann.api.repo_exists(ann.repo, repo_type="dataset")


@pytest.mark.parametrize("send", [Account.by_lfs, Account.by_xet])
def test_a_full_account_takes_no_more(join: Callable[..., Account], send: Callable[..., None]) -> None:
    ann = join("ann", private_quota=1500)
    send(ann, bytes(900), "1.mp4")
    with pytest.raises(HfHubHTTPError, match="storage limit reached"):
        send(ann, bytes(901), "2.mp4")


def test_lfs_refuses_a_hash_that_does_not_match(ann: Account) -> None:
    add = CommitOperationAdd("v.mp4", io.BytesIO(b"content"))
    add.upload_info.sha256 = bytes(32)
    with pytest.raises(RuntimeError) as failure:
        ann.commit(add)
    assert isinstance(failure.value.__cause__, BadRequestError)


def test_xet_believes_a_hash_that_does_not_match(hub: Hub, ann: Account) -> None:
    add = CommitOperationAdd("v.mp4", b"content")
    add.upload_info.sha256 = bytes(32)
    ann.commit(add)
    assert hub.files("ann", "videos")["v.mp4"].sha256 == "00" * 32
    assert hub.content("ann", "videos", "v.mp4") == b"content"


def test_a_pointer_to_what_was_never_sent_is_refused(ann: Account) -> None:
    add = CommitOperationAdd("v.mp4", b"content")
    add._is_uploaded, add._upload_mode = True, "lfs"
    with pytest.raises(BadRequestError, match="does not exist"):
        ann.commit(add)


@pytest.mark.parametrize("route", ["preupload", "xet-write-token", "xorb", "shard", "commit"])
def test_any_step_of_xet_can_be_refused(hub: Hub, ann: Account, route: str) -> None:
    hub.misbehave(route, Refuse(code=403, message="Not today", times=1))
    with pytest.raises((HfHubHTTPError, ConnectionError)):
        ann.by_xet(b"content")
    ann.by_xet(b"content")
    assert hub.content("ann", "videos", "v.mp4") == b"content"


@pytest.mark.parametrize("route", ["preupload", "batch", "put", "verify", "commit"])
def test_any_step_of_lfs_can_be_refused(hub: Hub, ann: Account, route: str) -> None:
    hub.misbehave(route, full(times=1))
    with pytest.raises((HfHubHTTPError, RuntimeError)):
        ann.by_lfs(b"content")
    ann.by_lfs(b"content")
    assert hub.content("ann", "videos", "v.mp4") == b"content"


def test_a_fault_meets_the_user_it_is_for_at_its_turn(hub: Hub, ann: Account, join: Callable[..., Account]) -> None:
    hub.misbehave("commit", busy(), user="bob")
    ann.by_lfs(b"content")
    hub.misbehave("commit", Refuse(code=403, times=1, skip=1), user="ann")
    ann.by_lfs(b"content", "w.mp4")
    for account in (join("bob"), ann):
        with pytest.raises(HfHubHTTPError):
            account.by_lfs(b"content", "x.mp4")


def test_a_commit_whose_answer_is_lost_has_landed(hub: Hub, ann: Account) -> None:
    hub.misbehave("commit", LoseAnswer(times=1))
    with pytest.raises(Exception, match="disconnected"):
        ann.by_lfs(b"content")
    assert "v.mp4" in ann.paths()


def test_an_upload_is_cut_in_the_middle_and_sent_again(hub: Hub, ann: Account, film: bytes) -> None:
    hub.misbehave("put", CutUpload(after=5_000_000, times=1))
    ann.by_lfs(film)
    assert hub.received("ann")["lfs"] == 5_000_000 + len(film)
    assert hub.content("ann", "videos", "v.mp4") == film


def test_what_is_damaged_on_the_way_is_refused_by_lfs_alone(hub: Hub, ann: Account, film: bytes) -> None:
    hub.misbehave("put", Damage(times=1))
    hub.misbehave("verify", WrongHash(skip=1))
    for _ in range(2):
        with pytest.raises(RuntimeError):
            ann.by_lfs(film)
    assert (hub.files("ann", "videos"), hub.count("verify")) == ({}, 2)


def test_a_copy_is_corrupted_without_a_word_and_healed_by_a_new_commit(hub: Hub, ann: Account) -> None:
    ann.by_xet(b"content")
    hub.corrupt("ann", "videos", "v.mp4", at=3)
    assert get(ann.url()) == (200, b"conuent")
    ann.api.delete_file("v.mp4", ann.repo, repo_type="dataset")
    ann.by_xet(b"content")
    assert get(ann.url()) == (200, b"content")


def test_the_client_too_downloads_the_corrupted_copy(hub: Hub, ann: Account, tmp_path: Path) -> None:
    ann.by_xet(b"content")
    hub.corrupt("ann", "videos", "v.mp4", at=3)
    path = ann.api.hf_hub_download(ann.repo, "v.mp4", repo_type="dataset", local_dir=tmp_path / "download")
    assert Path(path).read_bytes() == b"conuent"


def test_several_users_are_served_at_once(hub: Hub, join: Callable[..., Account], film: bytes) -> None:
    accounts = [join(name) for name in ("ann", "bob", "cat")]
    with ThreadPoolExecutor(6) as crew:
        sent = [crew.submit(one.by_lfs, film[number:], "l.mp4") for number, one in enumerate(accounts)]
        sent += [crew.submit(one.by_xet, film[number:], "x.mp4") for number, one in enumerate(accounts)]
        for one in sent:
            one.result()
    for number, name in enumerate(("ann", "bob", "cat")):
        assert hub.content(name, "videos", "l.mp4") == hub.content(name, "videos", "x.mp4") == film[number:]


def test_files_and_repositories_vanish_behind_our_back(hub: Hub, ann: Account) -> None:
    ann.by_lfs(b"content")
    hub.remove("ann", "videos", "v.mp4")
    assert ann.paths() == [".gitattributes"]
    hub.remove_repo("ann", "videos")
    with pytest.raises(RepositoryNotFoundError):
        ann.paths()


def test_a_download_breaks_off_or_stands_still(hub: Hub, ann: Account, film: bytes) -> None:
    ann.by_lfs(film)
    hub.misbehave("cdn", Cut(after=3_000_000, times=1))
    with pytest.raises(http.client.IncompleteRead) as failure:
        get(ann.url())
    assert len(failure.value.partial) == 3_000_000
    hub.misbehave("cdn", Stall(after=10))
    with pytest.raises(TimeoutError), urllib.request.urlopen(ann.url(), timeout=0.2) as answer:
        answer.read()


def test_a_folder_takes_so_many_files(hub: Hub, ann: Account) -> None:
    hub.folder_limit = 2
    ann.commit(*(CommitOperationAdd(f"a/{number}.mp4", b"content") for number in range(2)))
    with pytest.raises(BadRequestError, match="too many files per directory"):
        ann.by_lfs(b"content", "a/3.mp4")


def test_a_list_can_be_empty_for_no_reason(hub: Hub, ann: Account) -> None:
    ann.by_lfs(b"content")
    hub.misbehave("*", Empty())
    assert (ann.paths(), list(ann.api.list_user_repos())) == ([], [])
    assert not ann.api.file_exists(ann.repo, "v.mp4", repo_type="dataset")


def test_a_list_can_name_another_size_and_hash(hub: Hub, ann: Account) -> None:
    ann.by_lfs(b"content")
    hub.misbehave("paths-info", WrongHash(), WrongSize())
    (told,) = ann.api.get_paths_info(ann.repo, "v.mp4", repo_type="dataset")
    assert isinstance(told, RepoFile)
    assert (told.size, told.lfs and told.lfs.sha256) == (6, hashlib.sha256(b"content").hexdigest()[::-1])


def test_a_token_is_revoked_in_the_middle(hub: Hub, ann: Account) -> None:
    hub.misbehave("put", Revoke())
    with pytest.raises(RuntimeError) as failure:
        ann.by_lfs(b"content")
    assert "401" in str(failure.value.__cause__)
    with pytest.raises(HfHubHTTPError, match="401"):
        ann.api.dataset_info(ann.repo)


def test_the_hub_can_fall_silent(hub: Hub) -> None:
    hub.misbehave("whoami", Silence())
    with pytest.raises(TimeoutError):
        urllib.request.urlopen(f"{hub.endpoint}/api/whoami-v2", timeout=0.2)
