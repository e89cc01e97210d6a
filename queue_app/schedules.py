"""The chores' schedules, made where they are missing at the end of `migrate`. Operators may change or pause them."""

from __future__ import annotations

from typing import Any

SCHEDULES: tuple[tuple[str, str, str, int | None], ...] = (
    ("Fold the totals", "queue_app.tasks.fold_totals", "I", 1),
    ("Purge old history", "queue_app.tasks.purge", "H", None),
    ("Forget old idempotency keys", "queue_app.tasks.forget_answers", "H", None),
    ("Forget workers long gone", "queue_app.tasks.forget_workers", "D", None),
    ("Measure the accounts", "queue_app.tasks.measure_accounts", "H", None),
    ("Reconcile the accounts", "queue_app.tasks.reconcile_accounts", "D", None),
    ("Scrub the copies", "queue_app.tasks.scrub_copies", "I", 10),
    ("Move on what is stored", "queue_app.tasks.move_on", "I", 10),
    ("Purge the store's history", "queue_app.tasks.purge_store_history", "D", None),
    ("Remove what no video uses", "queue_app.tasks.remove_unused", "D", None),
    ("Apply the retention rules", "queue_app.tasks.apply_retention", "D", None),
)
"""Name, function, django-q2's schedule type (I: every so many minutes, H: hourly, D: daily), minutes."""


def ensure_schedules(using: str, **_signal: Any) -> None:
    """Make each schedule that isn't there yet, by its name."""
    from django_q.models import Schedule

    for name, function, kind, minutes in SCHEDULES:
        Schedule.objects.using(using).get_or_create(
            name=name, defaults={"func": function, "schedule_type": kind, "minutes": minutes}
        )
