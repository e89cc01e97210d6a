"""One step of the keeper: take a task, do it, and end it in the way that its outcome asks for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from datetime import timedelta

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.utils.timezone import now

from storage_app.backends.base import ContentMismatchError, ObjectMissingError, StorageError
from storage_app.models import StorageTask, TaskKind
from storage_app.upkeep import tasks
from storage_app.upkeep.lease import Beat, NeedsPerson, Postpone, Stopping, TaskLost
from storage_app.upkeep.manifests import write_manifests
from storage_app.upkeep.measure import measure
from storage_app.upkeep.reconcile import reconcile_task
from storage_app.upkeep.remove import after_removal, remove
from storage_app.upkeep.replicate import replicate
from storage_app.upkeep.verify import verify

log = logging.getLogger(__name__)

Work = Callable[[StorageTask, Beat], None]

WORK: dict[TaskKind, Work] = {
    TaskKind.REPLICATE: replicate,
    TaskKind.VERIFY: verify,
    TaskKind.REMOVE: remove,
    TaskKind.RECONCILE: reconcile_task,
    TaskKind.MEASURE: measure,
    TaskKind.MANIFEST: write_manifests,
}
LANES: tuple[tuple[TaskKind, ...], ...] = (
    (TaskKind.MEASURE, TaskKind.REMOVE, TaskKind.MANIFEST),
    (TaskKind.RECONCILE,),
    (TaskKind.REPLICATE,),
    (TaskKind.REPLICATE,),
    (TaskKind.VERIFY,),
)
"""The kinds of each of a keeper's threads: small ones never wait behind large ones."""
PERSON_WAIT = timedelta(days=1)


def work_once(kinds: Iterable[TaskKind], worker_id: str, stopping: threading.Event | None = None) -> bool:
    """Do the task of these kinds that is due for longest; False when there was none."""
    lease = timedelta(seconds=settings.LEASE_SECONDS)
    task = tasks.claim(kinds, worker_id, lease)
    if task is None:
        return False
    with Beat(task, lease, stopping) as beat:
        _work(task, beat)
    return True


def _work(task: StorageTask, beat: Beat) -> None:
    try:
        WORK[TaskKind(task.kind)](task, beat)
    except TaskLost:
        log.info("%s: the lease is gone, nothing is written.", task)
    except Stopping:
        tasks.hand_back(task)
    except Postpone as reason:
        tasks.postpone(task, reason.until, str(reason))
    except NeedsPerson as reason:
        tasks.fail(task, str(reason), until=now() + PERSON_WAIT)
    except StorageError as error:
        _storage_failed(task, error)
    except (OperationalError, InterfaceError) as error:
        log.warning("%s: the database can't be reached (%s); its lease runs out.", task, type(error).__name__)
        connection.close()
    except Exception:
        log.exception("%s: unexpected; it is tried again.", task)
        connection.close()
        tasks.fail(task, "Unexpected. The keeper's log has the details; please report it.")
    else:
        if tasks.finish(task) and task.kind == TaskKind.REMOVE:
            after_removal(task)


def _storage_failed(task: StorageTask, error: StorageError) -> None:
    """The account rests, unless it was the object's fault; the task waits for it at least as long."""
    until = None
    own_fault = isinstance(error, ObjectMissingError | ContentMismatchError) or task.kind == TaskKind.MEASURE
    if error.account is not None and not own_fault:
        until = tasks.pause(error.account, str(error), getattr(error, "retry_after", None))
    log.warning("%s: %s", task, error)
    tasks.fail(task, str(error), until=until)
