"""The ASGI application that gunicorn serves."""

from __future__ import annotations

import os

import django
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "archive_site.settings")
django.setup(set_prefix=False)

from archive_site.async_direct import DirectHandler  # noqa: E402 (after Django is set up)
from archive_site.body_limit import BodyLimit  # noqa: E402

application = BodyLimit(DirectHandler(), settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
