"""A Django project with django-q2 and its own ORM broker and nothing else: no results, 20 tasks a fetch."""

from __future__ import annotations

import os

import dj_database_url

SECRET_KEY = os.environ["SECRET_KEY"]
USE_TZ = True
INSTALLED_APPS = ["django_q"]
DATABASES = {"default": dj_database_url.parse(os.environ["DATABASE_URL"], conn_max_age=None)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
Q_CLUSTER = {
    "name": "bench",
    "orm": "default",
    "workers": int(os.environ.get("BENCH_PROCESSES", "1")),
    "bulk": 20,
    "save_limit": -1,
    "timeout": 600,
    "retry": 1200,
    "log_level": "WARNING",
}
