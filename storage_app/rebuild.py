"""Restores the store from what lies on the accounts: their lists say what there is, the manifests what it means."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from django.db import transaction

from storage_app.backends.base import ListedObject, StorageError
from storage_app.confirming import Confirming, Copies, Copy, by_listing, merged
from storage_app.listed import ListedCopy, ListedObjects
from storage_app.manifest import Manifest, ManifestRefused, parse
from storage_app.manifest_format import CONTENT_TYPE, MAX_BYTES, FileEntry
from storage_app.models import StorageAccount, VideoStore
from storage_app.restoring import Found, Jobs, Registered, is_account, register

_EMPTY = (
    "Account {account} lists no object at all. Is its folder mounted, or its bucket the right one? If it is new, "
    "that is as it should be."
)
BATCH = 200
READERS = 8


@dataclass
class Rebuilt(Registered):
    """How far a rebuild has come. `faults` are those of the last step alone; `accounts` are the ones listed."""

    accounts: int = 0
    objects: int = 0
    manifests: int = 0
    refused: int = 0
    listing_failed: list[str] = field(default_factory=list)
    missing_accounts: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Nothing is left that could not be restored."""
        return not (
            self.listing_failed or self.missing_accounts or self.refused or self.without_copy
            or self.sidecars_without_copy
        )  # fmt: skip


@dataclass(frozen=True)
class _Version:
    """One content that lies at a manifest's place, and the accounts where it does."""

    data: bytes
    manifest: Manifest
    copies: tuple[Copy, ...]


def rebuild(
    jobs: Jobs, *, dry_run: bool = False, verify: bool = False, readers: int = READERS, batch: int = BATCH
) -> Generator[Rebuilt]:
    """Restore what is missing; the state after each step, the last one at the end. Running it again goes on.

    `jobs` makes the videos' jobs ready in the same transaction. `verify` believes no account's list, but reads every
    copy from end to end. With `dry_run` everything is found out and nothing is kept. `batch` videos make a transaction.
    """
    with ThreadPoolExecutor(max_workers=readers) as pool:
        accounts = {account.index: account for account in StorageAccount.objects.filter(retired_at=None)}
        work = _Rebuild(jobs, Confirming(accounts.values(), pool), accounts, pool, dry_run=dry_run, verify=verify)
        yield from work.list_accounts()
        for places in work.listed.manifests(batch):
            yield work.step(places)
        if not work.state.manifests and not VideoStore.objects.exists():
            work.state.listing_failed.append("Nothing was restored: no account has a manifest, and no video is known.")
        yield work.state


class _Rebuild:
    """The state of one run."""

    def __init__(
        self,
        jobs: Jobs,
        confirming: Confirming,
        accounts: dict[int, StorageAccount],
        pool: ThreadPoolExecutor,
        *,
        dry_run: bool,
        verify: bool,
    ) -> None:
        self.state = Rebuilt()
        self.listed = ListedObjects()
        self._jobs = jobs
        self._confirming = confirming
        self._accounts = accounts
        self._pool = pool
        self._dry_run = dry_run
        self._verify = verify
        self._unlisted: list[StorageAccount] = []

    def list_accounts(self) -> Iterator[Rebuilt]:
        """Each account's list; one that fails is asked about each file later, as far as it answers."""
        for account in self._confirming.accounts:
            try:
                number = self.listed.add(account, self._confirming.backend(account).list())
                self.state.objects += number
                self.state.accounts += 1
                if not number:
                    self.state.listing_failed.append(_EMPTY.format(account=account))
            except StorageError as error:
                self._unlisted.append(account)
                self.state.listing_failed.append(f"Account {account} could not be listed: {error}")
            yield self.state
        self.listed.arrange()

    def step(self, places: Sequence[tuple[str, str]]) -> Rebuilt:
        """Restore the videos whose manifests lie at these places."""
        self.state.faults.clear()
        self._confirming.faults.clear()
        self.state.manifests += len(places)
        found = []
        copies_of_own: dict[FileEntry, list[Copy]] = {}
        for place, versions in zip(places, self._read(places), strict=True):
            if not versions:
                self.state.refused += 1
                continue
            # Among equals the one with most copies; then any, but always the same.
            newest = max(versions, key=lambda one: (one.manifest.age, len(one.copies), one.data))
            own = FileEntry(*place, hashlib.sha256(newest.data).hexdigest(), len(newest.data), CONTENT_TYPE)
            copies_of_own[own] = list(newest.copies)
            found.append(Found(newest.manifest, own))
        self._note_missing_accounts(found)
        with transaction.atomic():
            self.state.add(register(found, merged(copies_of_own, self._confirm(found)), self._jobs))
            transaction.set_rollback(self._dry_run)
        self.state.faults += self._confirming.faults
        return self.state

    def _read(self, places: Sequence[tuple[str, str]]) -> list[list[_Version]]:
        """The different manifests at each place, from whatever accounts give them."""
        listed = self.listed.at(places)
        groups = [(place, group) for place in places for group in self._same_content(listed[place])]
        for account in {copy.account for _place, group in groups for copy in group}:
            self._confirming.backend(self._accounts[account])
        found: dict[tuple[str, str], dict[bytes, _Version]] = {place: {} for place in places}
        answers = self._pool.map(lambda group: self._read_one(*group), groups)
        for (place, _group), (version, troubles) in zip(groups, answers, strict=True):
            for source, error in troubles:
                self._confirming.fault(source, f"manifest {place[0]}/{place[1]}", error)
            if version:
                known = found[place].get(version.data)
                copies = (*known.copies, *version.copies) if known else version.copies
                found[place][version.data] = _Version(version.data, version.manifest, copies)
        return [list(found[place].values()) for place in places]

    def _same_content(self, copies: Sequence[ListedCopy]) -> list[list[ListedCopy]]:
        """Copies that the lists themselves show to be the same are read once, unless none is believed."""
        groups: dict[object, list[ListedCopy]] = {}
        for copy in copies:
            one = copy.listed
            mark = one.sha256 or (one.etag and (self._accounts[copy.account].kind, one.etag, one.size))
            groups.setdefault((not self._verify and mark) or copy.account, []).append(copy)
        return list(groups.values())

    def _read_one(
        self, place: tuple[str, str], group: Sequence[ListedCopy]
    ) -> tuple[_Version | None, list[tuple[StorageAccount, Exception]]]:
        troubles: list[tuple[StorageAccount, Exception]] = []
        for copy in group:
            account = self._accounts[copy.account]
            if not self._confirming.answers(account):
                continue
            try:
                data = b"".join(self._confirming.backend(account).open(*place, 0, MAX_BYTES + 1))
                self._confirming.count(account)
                return _Version(data, _checked(data, copy.listed), tuple(self._as_copies(group, copy))), troubles
            except StorageError as error:
                self._confirming.count(account, error)
                troubles.append((account, error))
            except ManifestRefused as error:
                troubles.append((account, error))
        return None, troubles

    def _as_copies(self, group: Sequence[ListedCopy], read: ListedCopy) -> Iterator[Copy]:
        for copy in group:
            yield Copy(self._accounts[copy.account], copy.listed.etag, read=copy is read)

    def _confirm(self, found: Sequence[Found]) -> Copies:
        """Where the files that the manifests name are."""
        files = list(dict.fromkeys(file for one in found for file in one.files() if file != one.own))
        listed = self.listed.at([(file.repo, file.path) for file in files])
        by_list: dict[FileEntry, list[Copy]] = {file: [] for file in files}
        for file in files:
            for seen in listed[file.repo, file.path]:
                account = self._accounts[seen.account]
                if copy := by_listing(file, account, seen.listed):
                    by_list[file].append(copy)
                else:
                    self.state.faults.append(
                        f"Account {account}, {file.repo}/{file.path}: another content lies there "
                        f"({seen.listed.size} bytes; the manifest says {file.size})."
                    )
        questions = [
            (file, account)
            for account in self._unlisted
            for file in files
            if all(seen.account != account.index for seen in listed[file.repo, file.path])
        ]
        by_stat = self._confirming.by_stat(questions, read=self._verify)
        return merged(self._confirming.by_reading(by_list) if self._verify else by_list, by_stat)

    def _note_missing_accounts(self, found: Sequence[Found]) -> None:
        for one in found:
            wanted = one.manifest.primary
            here = self._accounts.get(wanted.account)
            if here is not None and is_account(here, one.manifest):
                continue
            name = f"account {wanted.account} ({wanted.kind}, user name {wanted.username!r})"
            is_other = here and f"here that number is {here.kind}, user name {here.username!r}."
            text = f"Manifests name {name}: {is_other or 'it does not exist here.'}"
            if text not in self.state.missing_accounts and len(self.state.missing_accounts) < 100:
                self.state.missing_accounts.append(text)


def _checked(data: bytes, listed: ListedObject) -> Manifest:
    """The manifest of these bytes. Raises ManifestRefused, also when it lies where another one should."""
    if listed.sha256 not in {None, hashlib.sha256(data).hexdigest()}:
        raise ManifestRefused("It is not what the account's list says.")
    manifest = parse(data)
    if manifest.path != listed.path:
        raise ManifestRefused(f"It is the manifest of {manifest.path}, and lies where it shouldn't.")
    return manifest
