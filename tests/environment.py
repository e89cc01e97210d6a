"""Sets the stage before Django reads its settings: an own data folder, known secrets, a real PostgreSQL.

Loaded with `-p tests.environment` (pyproject.toml), because pytest-django reads the settings before any conftest.
`REELKEEP_TEST_DATABASE_URL` names a server to use instead of the embedded one.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from archive_site.embedded_postgres import EmbeddedPostgres

DATA = Path(tempfile.mkdtemp(prefix="reelkeep-tests-"))
HF_FILE_SALT = "tests-file-salt"
TRIGGER_TOKEN = "tests-trigger-token"
API_TOKEN = "tests-api-token"

for name in list(os.environ):
    if name.startswith(("HF_", "SPACES_", "AWS_")) or name in {"DATABASE_URL", "PUBLIC_URL", "WORK_DIR", "WORKER_ID"}:
        del os.environ[name]
os.environ.update(
    REELKEEP_DATA=str(DATA),
    SECRET_KEY="tests-secret-key-that-is-long-enough-for-django-to-like-it",
    HF_FILE_SALT=HF_FILE_SALT,
    TRIGGER_TOKEN=TRIGGER_TOKEN,
    API_TOKEN=API_TOKEN,
    DJANGO_SETTINGS_MODULE="archive_site.settings",
)

_server: EmbeddedPostgres | None = None
if "REELKEEP_TEST_DATABASE_URL" in os.environ:
    os.environ["DATABASE_URL"] = os.environ["REELKEEP_TEST_DATABASE_URL"]
else:
    _server = EmbeddedPostgres(DATA)
    os.environ["DATABASE_URL"] = _server.start()


def leave_nothing_behind() -> None:
    """Stop what this module started and remove its folder. Harmless to repeat."""
    if _server is not None:
        _server.stop()
    shutil.rmtree(DATA, ignore_errors=True)


def pytest_unconfigure() -> None:
    """The end of a run."""
    leave_nothing_behind()


# pytest doesn't come to its end when its command line is wrong.
atexit.register(leave_nothing_behind)
