"""What becomes of a copy that was found bad or missing. The last good copy is never touched."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction

from storage_app.backends.base import StorageError
from storage_app.models import Replica, StorageAccount, StoredFile, TaskKind
from storage_app.upkeep import jobs, primary
from storage_app.upkeep.events import record
from storage_app.upkeep.lease import Beat, NeedsPerson, Postpone
from storage_app.upkeep.reading import Finding, State, look, naming, read_back
from storage_app.upkeep.tasks import ask_for, pause

SAMPLE = 8
CHANGING_WAIT = timedelta(minutes=1)


def condemn(replica: Replica, found: Finding, beat: Beat, *, good_elsewhere: bool = False) -> None:
    """Takes a bad or missing copy out of its account and has a new one made, once another copy was seen to be good.

    Raises Postpone when that can't be seen now, NeedsPerson when no copy is good: then everything is kept as it is.
    """
    if found.state is State.MISSING:
        refuse_if_unreachable(replica)
    if not good_elsewhere:
        _require_another(replica, found, beat)
    if found.state is State.BAD:
        require_quiet(replica.stored_file)
        if jobs.storing_beside(replica.stored_file.repo, replica.stored_file.path):
            raise Postpone("A job is storing something beside it; it goes on when that has ended.", CHANGING_WAIT)
        # The object goes too: an account asked to store the same content again might say that it has it already.
        with naming(replica.account) as backend:
            backend.delete(replica.stored_file.repo, replica.stored_file.path)
    drop(replica, found)


def drop(replica: Replica, found: Finding, actor: str = "system") -> None:
    """The row goes, the primary follows, and the file is brought back to its copies."""
    file, account = replica.stored_file, replica.account
    kind = "missing_copy" if found.state is State.MISSING else "bad_copy"
    with transaction.atomic():
        if not Replica.objects.filter(pk=replica.pk).delete()[0]:
            return
        text = f"The copy of {file.path} on account {account} was given up: {found.text}. A new one is made."
        record(kind, text, account=account.index, file=file, actor=actor)
        ask_for(TaskKind.REPLICATE, stored_file=file, reason=text)
        primary.follow(file)


def require_quiet(file: StoredFile) -> None:
    """Raises Postpone while a job stores something of the same episode: what lies there may be another's by now."""
    if jobs.being_stored(file.path):
        raise Postpone("A job is storing files of this episode; it goes on when that has ended.", CHANGING_WAIT)


def refuse_if_unreachable(replica: Replica) -> None:
    """A copy that is missing among others that are missing too says something about the account, not the copy.

    Raises Postpone then, the account paused.
    """
    account = replica.account
    others = Replica.objects.filter(account=account).exclude(pk=replica.pk).select_related("stored_file")
    sample = list(others.order_by("-verified_at")[:SAMPLE])
    with naming(account) as backend:
        if any(look(other.stored_file, account).state is not State.MISSING for other in sample):
            return
        if not sample and next(iter(backend.list()), None) is not None:
            return
    raise Postpone(*unreachable(account, f"{len(sample) + 1} copies that were looked at"))


def unreachable(account: StorageAccount, what: str) -> tuple[str, timedelta]:
    """Pauses an account that answers that everything is missing, and says so; the reason, and for how long to wait."""
    text = (
        f"Account {account} says that {what} are missing. It is taken for unreachable and paused; nothing was given up."
        f" Check it (is its folder mounted?). If they are really lost: manage.py reconcile --account {account.index}"
        " --accept-loss"
    )
    pause(account.index, text)
    record("unreachable", text, account=account.index)
    return text, timedelta(minutes=10)


def _require_another(replica: Replica, found: Finding, beat: Beat) -> None:
    """Raises Postpone and NeedsPerson unless another copy is good: read back for a bad one, asked for a missing one."""
    file = replica.stored_file
    unknown: list[StorageError] = []
    also_bad: list[tuple[Replica, Finding]] = []
    for other in file.replicas.exclude(pk=replica.pk).select_related("account").order_by("account__index"):
        beat.next_step()
        try:
            seen = look(file, other.account) if found.state is State.MISSING else None
            if seen is None:
                seen = read_back(file, other.account, beat.progress)
        except StorageError as error:
            unknown.append(error)
            continue
        if seen.good:
            for bad, why in also_bad:
                ask_for(TaskKind.VERIFY, stored_file=file, account=bad.account, reason=f"Found that {why.text}.")
            return
        also_bad.append((other, seen))
    if unknown:
        text = f"The copy on account {replica.account} is no good ({found.text}), and no other can be read now"
        raise Postpone(f"{text}: {unknown[0]} It is kept until then.", timedelta(minutes=10))
    text = (
        f"No copy of {file.path} is good any more; on account {replica.account} {found.text}. All is kept as it is."
        " Bring the file back by hand, or archive the video again."
    )
    record("no_good_copy", text, account=replica.account_id, file=file)
    raise NeedsPerson(text)
