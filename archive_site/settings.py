"""Django settings: one file, everything from the environment (see `.env.example`), nothing read anywhere else.

With `DATABASE_URL` unset the embedded PostgreSQL under `REELKEEP_DATA` is used; `manage.py run` starts it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from archive_site import account_env, embedded_postgres, env, playback_keys
from archive_site.proxy_route import Proxy

BASE_DIR = Path(__file__).resolve().parent.parent

# --- Where things lie -------------------------------------------------------------------------------------------------
REELKEEP_DATA = env.path("REELKEEP_DATA", "./data")
WORK_DIR = env.path("WORK_DIR", str(REELKEEP_DATA / "scratch"))

# --- Secrets ----------------------------------------------------------------------------------------------------------
SECRET_KEY = env.secret("SECRET_KEY", REELKEEP_DATA)
CREDENTIALS_KEY = env.secret("CREDENTIALS_KEY", REELKEEP_DATA) or SECRET_KEY
HF_FILE_SALT = env.secret("HF_FILE_SALT", REELKEEP_DATA)
TRIGGER_TOKEN = env.secret("TRIGGER_TOKEN", REELKEEP_DATA) or HF_FILE_SALT
API_TOKEN = env.secret("API_TOKEN", REELKEEP_DATA) or TRIGGER_TOKEN
EDGE_TOKEN = env.secret("EDGE_TOKEN", REELKEEP_DATA) or API_TOKEN
ADMIN_PASSWORD = env.secret("ADMIN_PASSWORD", REELKEEP_DATA)
ADMIN_USERNAME = env.text("ADMIN_USERNAME", "admin")

# --- Web --------------------------------------------------------------------------------------------------------------
DEBUG = env.boolean("DEBUG", default=False)
PORT = env.integer("PORT", 7860, minimum=1, maximum=65535)
PUBLIC_URL = env.text("PUBLIC_URL", f"http://localhost:{PORT}").rstrip("/")
CLOUDFLARE_WORKERS_URL = env.text("CLOUDFLARE_WORKERS_URL").rstrip("/")
ALLOWED_HOSTS = env.csv("ALLOWED_HOSTS") or ["*"]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL.startswith("https://") else []
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if PUBLIC_URL.startswith("https://") else None
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_NAME = "reelkeep_session"
CSRF_COOKIE_NAME = "reelkeep_csrf"
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "SAMEORIGIN"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

# --- Playback ---------------------------------------------------------------------------------------------------------
# Derived, so that a Worker that is given the same HF_FILE_SALT needs no further secret.
PROXY_SIGNING_KEY = env.secret("PROXY_SIGNING_KEY", REELKEEP_DATA) or playback_keys.derived(HF_FILE_SALT or SECRET_KEY)
PROXY_SIGNING_KEYS_OLD = env.secret("PROXY_SIGNING_KEYS_OLD", REELKEEP_DATA).replace(",", " ").split()
S3_PLAYBACK = env.choice("S3_PLAYBACK", "proxy", ("proxy", "redirect"))
PROXY_URL_HOURS = env.integer("PROXY_URL_HOURS", 12, minimum=1, maximum=24 * 7)
RESOLVE_SECONDS = env.number("RESOLVE_SECONDS", 10.0, minimum=0.5, maximum=60)
RESOLVERS = env.csv("RESOLVERS")
X_ACCEL = env.boolean("X_ACCEL", default=False)

# --- Fetching ---------------------------------------------------------------------------------------------------------
FETCH_ALLOW_HOSTS = env.host_ports("FETCH_ALLOW_HOSTS")
FETCH_PROXY = env.secret("FETCH_PROXY", REELKEEP_DATA)
if FETCH_PROXY:
    try:
        Proxy.parse(FETCH_PROXY)
    except ValueError as refusal:
        raise ImproperlyConfigured(f"FETCH_PROXY {refusal}.") from None
MAX_VIDEO_BYTES = env.integer("MAX_VIDEO_BYTES", 200 * 1024**3, minimum=1)
MAX_DOWNLOAD_RATE = env.integer("MAX_DOWNLOAD_RATE", 0)
DOWNLOAD_CONNECTIONS = env.integer("DOWNLOAD_CONNECTIONS", 8, minimum=1, maximum=32)
HLS_CONNECTIONS = env.integer("HLS_CONNECTIONS", 8, minimum=1, maximum=32)
HOST_CONNECTIONS = env.integer("HOST_CONNECTIONS", 16, minimum=1, maximum=256)
MAX_LIVE_HOURS = env.number("MAX_LIVE_HOURS", 6.0)
PAGE_SECONDS = env.number("PAGE_SECONDS", 60.0, minimum=5)
BROWSER = env.text("BROWSER")

# --- Proof: how much of a video is decoded before it is archived, and where refused ones are kept ---------------------
PROOF = env.choice("PROOF", "full", ("full", "sampled", "off"))
QUARANTINE_DIR = env.path("QUARANTINE_DIR", "") if env.text("QUARANTINE_DIR") else None
QUARANTINE_DAYS = env.integer("QUARANTINE_DAYS", 30, minimum=1)
QUARANTINE_GIB = env.integer("QUARANTINE_GIB", 50, minimum=1)

# --- Media: programs of the operator's own in the place of the bundled ones -------------------------------------------
FFMPEG = env.text("FFMPEG")
FFPROBE = env.text("FFPROBE")
FFMPEG_MEMORY_GIB = env.integer("FFMPEG_MEMORY_GIB", 4, minimum=1)
FFMPEG_THREADS = env.integer("FFMPEG_THREADS", 2, minimum=1, maximum=64)

# --- Workers ----------------------------------------------------------------------------------------------------------
WORKER_ID = env.text("WORKER_ID")
MAX_CONCURRENT = env.integer("MAX_CONCURRENT", 2, minimum=1, maximum=64)
POLL_INTERVAL = env.integer("POLL_INTERVAL", 10_000, minimum=100) / 1000  # given in milliseconds, kept in seconds
LEASE_SECONDS = env.integer("LEASE_SECONDS", 30, minimum=5)
KEEPER = env.boolean("KEEPER", default=True)
SHUTDOWN_GRACE = env.number("SHUTDOWN_GRACE", 10.0)

# --- History: days that it is kept; ended jobs for ever with 0 --------------------------------------------------------
RETENTION_EVENTS_DAYS = env.integer("RETENTION_EVENTS_DAYS", 180, minimum=1)
RETENTION_ENDED_DAYS = env.integer("RETENTION_ENDED_DAYS", 0)

# --- Storage ----------------------------------------------------------------------------------------------------------
HF_REPO_PREFIX = env.text("HF_REPO_PREFIX", "weaboo")
HF_REPO_VISIBILITY = env.choice("HF_REPO_VISIBILITY", "private", ("private", "public"))
HF_HOME = env.path("HF_HOME", str(REELKEEP_DATA / "huggingface"))
UPLOADS_DIR = REELKEEP_DATA / "uploads"
STORAGE_TIMEOUT = env.number("STORAGE_TIMEOUT", 60.0, minimum=1)
SEND_AHEAD = env.boolean("SEND_AHEAD", default=True)
SCRUB_BYTES_PER_DAY = env.integer("SCRUB_BYTES_PER_DAY", 100 * 1024**3)
LOCAL_STORAGE_PATHS = [Path(p).expanduser().absolute() for p in env.csv("LOCAL_STORAGE_PATHS")]
LOCAL_STORAGE_DEFAULT = REELKEEP_DATA / "storage" / "1"  # where there is no account at all
HUB_ACCOUNTS = account_env.hub_accounts(REELKEEP_DATA)
BUCKET_ACCOUNTS = account_env.bucket_accounts(REELKEEP_DATA)

# --- Transcription ----------------------------------------------------------------------------------------------------
ENGINE_SHARED_SECRET = env.secret("ENGINE_SHARED_SECRET", REELKEEP_DATA)
HF_API_KEY = env.secret("HF_API_KEY", REELKEEP_DATA)
BUSINESS_ENGINE_WEBHOOK_URL = env.text("BUSINESS_ENGINE_WEBHOOK_URL")
BUSINESS_ENGINE_WEBHOOK_SECRET = env.secret("BUSINESS_ENGINE_WEBHOOK_SECRET", REELKEEP_DATA)
ASR_PROVIDER = env.text("ASR_PROVIDER").lower()
if ASR_PROVIDER not in {"", "hf", "local"}:
    raise ImproperlyConfigured(f"ASR_PROVIDER={ASR_PROVIDER!r}: expected hf or local.")

# --- Django -----------------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "archive_site.admin_site.ReelkeepAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_q",
    "archive_site",
    "storage_app",
    "queue_app",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "archive_site.urls"
ASGI_APPLICATION = "archive_site.asgi.application"
APPEND_SLASH = False

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASE_URL = env.secret("DATABASE_URL", REELKEEP_DATA)
USES_EMBEDDED_POSTGRES = not DATABASE_URL
# With neither, a port on which nothing can listen: manage.py then says how to start the database.
_DSN = DATABASE_URL or embedded_postgres.read_dsn(REELKEEP_DATA) or "postgresql://reelkeep@127.0.0.1:1/reelkeep"
DATABASES: dict[str, Any] = {
    "default": {
        **dj_database_url.parse(_DSN, conn_max_age=0),
        # Transaction poolers (Supabase's port 6543, PgBouncer) keep no cursor from one statement to the next.
        "DISABLE_SERVER_SIDE_CURSORS": True,
    }
}
if DATABASES["default"]["ENGINE"] != "django.db.backends.postgresql":
    raise ImproperlyConfigured("DATABASE_URL must name a PostgreSQL database (postgresql://…).")
DATABASES["default"].setdefault("OPTIONS", {}).setdefault("connect_timeout", 10)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = False
FORMAT_MODULE_PATH = ["archive_site.formats"]
USE_TZ = True

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True  # no collectstatic step between a checkout and `make run`

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "archive_site.negotiation.AlwaysJson",
    "EXCEPTION_HANDLER": "archive_site.api_errors.handle",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Reelkeep",
    "DESCRIPTION": "Takes a video's URL, proves the copy is whole, keeps it several times, plays it back.",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "ENUM_NAME_OVERRIDES": {"VideoStatus": "queue_app.states.VideoStatus"},
    "PREPROCESSING_HOOKS": ["archive_site.schema.one_path_each"],
}

# Three clusters: `chores` runs django-q2's own schedules; `download` and `upload` run the jobs of video_queue, which
# live there and nowhere else (queue_app/broker.py). For these two django-q2 neither times out, retries nor keeps
# results: the lease does all three. Hence a time-out that nobody reaches (11 days; with none at all it warns).
_LANE: dict[str, Any] = {
    "broker_class": "queue_app.broker.VideoQueueBroker",
    "scheduler": False,
    "workers": MAX_CONCURRENT,
    "queue_limit": MAX_CONCURRENT,
    "timeout": 1_000_000,
    "retry": 2_000_000,
    "guard_cycle": 0.2,
    "recycle": 500,
}
Q_CLUSTER: dict[str, Any] = {
    "name": "chores",
    "orm": "default",
    "workers": 1,
    "queue_limit": 1,
    "poll": 2,
    "timeout": 1800,
    "retry": 3600,
    "max_attempts": 1,
    "ack_failures": True,
    "catch_up": False,
    "save_limit": -1,
    "recycle": 50,
    "ALT_CLUSTERS": {"download": _LANE, "upload": _LANE},
}

CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.text("LOG_LEVEL", "DEBUG" if DEBUG else "INFO").upper()},
    # django-q2 tells of every task by a random name; our own events say the same with the video's. What botocore tells
    # while debugging holds signatures.
    "loggers": {"django-q": {"level": "WARNING"}, "urllib3": {"level": "WARNING"}, "botocore": {"level": "INFO"}},
}

# Read when huggingface_hub and hf_xet are imported (two uploads at a time keep the memory flat).
for _name, _value in {
    "HF_HOME": str(HF_HOME),
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_XET_CLIENT_AC_MAX_UPLOAD_CONCURRENCY": "2",
}.items():
    os.environ.setdefault(_name, _value)
