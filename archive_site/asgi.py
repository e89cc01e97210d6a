"""The ASGI application that gunicorn serves."""

from __future__ import annotations

import os

from django.conf import settings
from django.core.asgi import get_asgi_application

from archive_site.body_limit import BodyLimit

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "archive_site.settings")

application = BodyLimit(get_asgi_application(), settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
