"""The job that does nothing, for django-q2. Run as a program: keeps one packed task, to be copied by the thousand."""

from __future__ import annotations

import django

from benchmarks.queues.started import tell_started

NOOP = "benchmarks.queues.django_q_tasks.noop"


def noop() -> None:
    """Does nothing."""
    tell_started()


if __name__ == "__main__":
    django.setup()
    from django.db import connection
    from django_q.tasks import async_task

    async_task(NOOP)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bench_task AS SELECT payload FROM django_q_ormq")
