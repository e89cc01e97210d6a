"""What the Hub knows: users, repositories, commits, and where the bytes lie."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from tests.servers.hub.http import BLOCK, Refused

GITATTRIBUTES = "".join(
    f"{pattern} filter=lfs diff=lfs merge=lfs -text\n"
    for pattern in ("*.7z", "*.bin", "*.gz", "*.jpg", "*.jpeg", "*.mp3", "*.mp4", "*.png", "*.wav", "*.webm", "*.zip")
).encode()
"""What a new dataset starts with; the patterns that matter here."""


class Content(Protocol):
    """Bytes on this machine's disk."""

    @property
    def size(self) -> int:
        """In bytes."""

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """From `start` up to but without `end`."""


@dataclass(frozen=True)
class FileContent:
    """Content that is a file of its own."""

    path: Path
    size: int

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """From `start` up to but without `end`."""
        with self.path.open("rb") as file:
            file.seek(start)
            left = end - start
            while left > 0 and (block := file.read(min(BLOCK, left))):
                left -= len(block)
                yield block


def sha256_of(content: Content) -> str:
    """In hex."""
    digest = hashlib.sha256()
    for block in content.read(0, content.size):
        digest.update(block)
    return digest.hexdigest()


def git_oid(content: bytes) -> str:
    """The name that git gives to a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class User:
    """An account. Quotas in bytes; None for no limit. `received` counts bytes of bodies by kind: `api`, `commit`,
    `lfs`, `xorb`, `shard`."""

    name: str
    token: str
    private_quota: int | None = None
    public_quota: int | None = None
    pro: bool = False
    read_only: bool = False
    received: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Entry:
    """A file in a commit. `sha256` is what its LFS pointer claims; None for a file that lies in git itself."""

    oid: str
    content: Content
    sha256: str | None = None
    xet_hash: str | None = None

    @property
    def size(self) -> int:
        """In bytes."""
        return self.content.size


def pointer(sha256: str, size: int) -> bytes:
    """What git holds instead of a large file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


@dataclass(frozen=True)
class Object:
    """A large file that was uploaded to a repository, whether or not a commit mentions it."""

    content: Content
    xet_hash: str | None = None


@dataclass(frozen=True)
class Commit:
    """A state of the repository."""

    oid: str
    title: str
    message: str
    date: datetime
    files: dict[str, Entry]


@dataclass
class Repo:
    """A dataset repository, with `main` only. `kept` are the large files that any commit mentions: they count as
    storage until they are permanently deleted."""

    owner: User
    name: str
    private: bool
    commits: list[Commit] = field(default_factory=list)
    objects: dict[str, Object] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """`owner/name`."""
        return f"{self.owner.name}/{self.name}"

    @property
    def head(self) -> Commit:
        """What `main` points to."""
        return self.commits[-1]

    @property
    def storage(self) -> int:
        """Bytes that count."""
        regular = sum(entry.size for entry in self.head.files.values() if entry.sha256 is None)
        return regular + sum(self.objects[sha].content.size for sha in self.kept)

    def at(self, revision: str) -> Commit:
        """The commit of `main` or of an oid."""
        if revision == "main":
            return self.head
        for commit in self.commits:
            if commit.oid == revision:
                return commit
        raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def add_commit(self, files: dict[str, Entry], title: str, message: str = "") -> Commit:
        """The new head."""
        listing = "".join(f"{path} {entry.oid}\n" for path, entry in sorted(files.items()))
        seed = f"{self.id} {len(self.commits)} {title} {listing}"
        commit = Commit(hashlib.sha1(seed.encode()).hexdigest(), title, message, datetime.now(UTC), files)
        self.commits.append(commit)
        for path, entry in files.items():
            if entry.sha256 is not None:
                self.kept[entry.sha256] = path
        return commit


class State:
    """Everything that is kept; mutations hold `lock`. Content lies in files of `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        self.users: dict[str, User] = {}
        self.repos: dict[str, Repo] = {}
        self._files = 0

    def new_file(self, kind: str) -> Path:
        """A path for new content."""
        with self.lock:
            self._files += 1
            path = self.folder / kind / str(self._files)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def user_of(self, token: str) -> User | None:
        """Whose token it is."""
        return next((user for user in self.users.values() if user.token == token), None)

    def create(self, owner: User, name: str, *, private: bool) -> Repo:
        """A repository with its first commit."""
        repo = Repo(owner, name, private)
        self.repos[repo.id] = repo
        repo.add_commit({".gitattributes": self.regular(GITATTRIBUTES)}, "initial commit")
        return repo

    def regular(self, content: bytes) -> Entry:
        """A file that git itself holds."""
        path = self.new_file("git")
        path.write_bytes(content)
        return Entry(git_oid(content), FileContent(path, len(content)))

    def large(self, repo: Repo, sha256: str) -> Entry:
        """A file that was uploaded to the repository before."""
        uploaded = repo.objects[sha256]
        oid = git_oid(pointer(sha256, uploaded.content.size))
        return Entry(oid, uploaded.content, sha256, uploaded.xet_hash)

    def room(self, repo: Repo) -> int | None:
        """Bytes that the owner may still add to a repository of this visibility; None for no limit."""
        quota = repo.owner.private_quota if repo.private else repo.owner.public_quota
        if quota is None:
            return None
        with self.lock:
            alike = [one for one in self.repos.values() if one.owner is repo.owner and one.private == repo.private]
            return quota - sum(one.storage for one in alike)
