"""django-q2's own pages: the schedules, to look at. Its results are off and its queue is ours."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django_q.models import Failure, OrmQ, Schedule, Success

from archive_site.admin_parts import ReadOnlyAdmin

for _model in (Success, Failure, OrmQ, Schedule):
    if admin.site.is_registered(_model):
        admin.site.unregister(_model)


# Read-only: a schedule names any Python function, so whoever may write one may run anything on the workers.
@admin.register(Schedule)
class ScheduleAdmin(ReadOnlyAdmin[Any]):
    """Chores and when they are due."""

    list_display = ("name", "func", "schedule_type", "minutes", "next_run")
    ordering = ("next_run",)
