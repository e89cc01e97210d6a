"""Which accounts are to hold a file: by the placement policy of its work, by room, and by who can be reached now."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection
from django.db.models import BooleanField, Case, Q, Value, When
from django.db.models.functions import Now

from storage_app.backends.base import StorageUnavailableError
from storage_app.models import PlacementPolicy, StorageAccount, StoredFile, VideoStore


@dataclass(frozen=True)
class Placement:
    """Where a file is to lie."""

    accounts: tuple[StorageAccount, ...]
    """The accounts that are to hold it, at most `wanted`: those that do first, those in `resting` and `full` last."""
    wanted: int
    """Copies that the policy asks for, even where there are fewer accounts: then the file shows as under-replicated."""
    minimum: int
    """Confirmed copies that a video needs to be ready."""
    resting: frozenset[int] = frozenset()
    """Indexes of those of `accounts` that are paused."""
    full: frozenset[int] = frozenset()
    """Indexes of those of `accounts` that have neither room for the file nor a copy of it."""

    @property
    def open(self) -> tuple[StorageAccount, ...]:
        """Those of `accounts` that may be sent something now."""
        closed = self.resting | self.full
        return tuple(account for account in self.accounts if account.index not in closed)

    @property
    def fits(self) -> bool:
        """Have enough accounts room for the video to become ready?"""
        return len(self.accounts) - len(self.full) >= self.minimum


@dataclass(frozen=True)
class _Rules:
    """What the policies of all works that share a file ask for together."""

    copies: int | None
    minimum: int
    spread: bool
    accounts: frozenset[int] | None


@dataclass(frozen=True)
class _Candidate:
    account: StorageAccount
    holds: bool
    paused: bool
    reserved: int

    @property
    def filling(self) -> int:
        """Bytes that are or will be there."""
        return (self.account.used_bytes or 0) + self.reserved

    @property
    def share(self) -> float:
        """How much of it is taken, 0 to 1; 0 for one without a known end."""
        used, free = self.account.used_bytes or 0, self.account.free_bytes
        total = self.account.limit_bytes or (used + free if free is not None else None)
        return self.filling / max(total, 1) if total is not None else 0.0

    def has_room(self, size: int) -> bool:
        """As far as is known."""
        account, needed = self.account, self.reserved + size
        within_limit = account.limit_bytes is None or (account.used_bytes or 0) + needed <= account.limit_bytes
        return within_limit and (account.free_bytes is None or needed <= account.free_bytes)


def place(works: int | Iterable[int], size: int, *, have: Collection[int] = (), job: UUID | None = None) -> Placement:
    """Where a file of these works (several where they share it), `size` bytes long, is to lie.

    `have` are the indexes of the accounts that hold it: they count, and come before others. `job` is the job that asks:
    what it has reserved itself is not counted against it. Only accounts in use are considered, and of these only those
    that the policy names, if it names any. Where fewer copies are wanted than there are accounts, those are chosen that
    can take it now, of different kinds (if the policy says so), and that are least filled.

    The minimum is what the policy promises, whatever may be paused or full: a video waits rather than being ready with
    less. But it is never more than there are accounts in use: an operator who disables one has said that it isn't to be
    waited for, and nothing could ever become ready otherwise. The same answer comes for the same state of the tables.

    Works that share a file get the largest of their figures, on the accounts of all of them. Raises
    StorageUnavailableError when there is no account to choose from.
    """
    rules = _rules([works] if isinstance(works, int) else list(works))
    candidates = _candidates(rules, have, job)
    if not candidates:
        raise StorageUnavailableError(_nobody(rules))
    wanted = rules.copies or len(candidates)
    chosen = _choose(candidates, min(wanted, len(candidates)), size, spread=rules.spread)
    chosen.sort(key=lambda c: (_rank(c, size), c.account.index))
    return Placement(
        accounts=tuple(c.account for c in chosen),
        wanted=wanted,
        minimum=min(rules.minimum, len(candidates)),
        resting=frozenset(c.account.index for c in chosen if c.paused),
        full=frozenset(c.account.index for c in chosen if not c.holds and not c.has_room(size)),
    )


def placement_of(file: StoredFile) -> Placement:
    """Where a stored file is to lie, with the copies that it has. Raises StorageUnavailableError."""
    works = {work_of(file.repo), *VideoStore.objects.filter(stored_file=file).values_list("mal_id", flat=True)}
    have = list(file.replicas.values_list("account_id", flat=True))
    return place(works, file.size, have=have)


def work_of(repo: str) -> int:
    """The work that a repository is of, as `VideoKey.repo` names it. Raises ValueError."""
    return int(repo.rpartition("-")[2])


def reserved_bytes(job: UUID | None = None) -> dict[int, int]:
    """Bytes that the jobs in work, but for `job`, are going to fill, by account."""
    # By the queue's table, not by its models: the store knows nothing of the queue.
    statement = """
        SELECT r.account_id, sum(r.size)::bigint FROM storage_reservation r JOIN video_queue q ON q.id = r.job
        WHERE q.status IN ('downloading', 'uploading') AND r.job IS DISTINCT FROM %s GROUP BY r.account_id
    """
    with connection.cursor() as cursor:
        cursor.execute(statement, [job])
        return dict(cursor.fetchall())


def _rules(works: Sequence[int]) -> _Rules:
    found = PlacementPolicy.objects.filter(Q(mal_id__in=works) | Q(mal_id=None)).prefetch_related("accounts")
    by_work = {policy.mal_id: policy for policy in found}
    default = by_work.get(None)
    policies = [policy for work in works or [0] if (policy := by_work.get(work, default))]
    if len(policies) < len(works) or not policies:
        policies.append(PlacementPolicy())
    copies = [policy.copies for policy in policies]
    named = [_named(policy) for policy in policies]
    return _Rules(
        copies=None if None in copies else max(number for number in copies if number),
        minimum=max(policy.minimum for policy in policies),
        spread=any(policy.spread for policy in policies),
        accounts=None if None in named else frozenset().union(*(names for names in named if names)),
    )


def _named(policy: PlacementPolicy) -> frozenset[int] | None:
    if policy.pk is None:
        return None
    return frozenset(account.index for account in policy.accounts.all()) or None


def _candidates(rules: _Rules, have: Collection[int], job: UUID | None) -> list[_Candidate]:
    accounts = StorageAccount.objects.filter(enabled=True, retired_at=None)
    if rules.accounts is not None:
        accounts = accounts.filter(index__in=rules.accounts)
    # By the database's clock, which is the one that the pause was written by.
    rests = Case(When(paused_until__gt=Now(), then=Value(True)), default=Value(False), output_field=BooleanField())
    reserved = reserved_bytes(job)
    return [
        _Candidate(account, account.index in have, account.rests, reserved.get(account.index, 0))
        for account in accounts.annotate(rests=rests).order_by("index")
    ]


def _choose(candidates: Sequence[_Candidate], count: int, size: int, *, spread: bool) -> list[_Candidate]:
    left, chosen = list(candidates), list[_Candidate]()
    while len(chosen) < count:
        kinds = [c.account.kind for c in chosen] if spread else []
        best = min(
            left,
            key=lambda c: (_rank(c, size), kinds.count(c.account.kind), c.share, c.filling, c.account.index),
        )
        left.remove(best)
        chosen.append(best)
    return chosen


def _rank(candidate: _Candidate, size: int) -> int:
    """Who comes first: who has it, who can take it now, who can later, who has no room."""
    if candidate.holds:
        return 0
    if not candidate.has_room(size):
        return 3
    return 2 if candidate.paused else 1


def _nobody(rules: _Rules) -> str:
    if rules.accounts is not None:
        return "None of the accounts that the placement policy names is in use. Enable one, or change the policy."
    return "There is no enabled storage account. Add or enable one in the admin."
