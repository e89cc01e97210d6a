"""What `make run` makes up at its first start, so that nothing has to be configured: the secrets."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from archive_site import env


def ensure_secrets(data_folder: Path) -> list[Path]:
    """Make up each secret that is neither set nor kept yet; returns the files written (mode 0600).

    HF_FILE_SALT names the stored files: whoever loses it can no longer compute their keys. CREDENTIALS_KEY opens the
    storage accounts' secrets. So back the folder up.
    """
    wanted = ["SECRET_KEY", "CREDENTIALS_KEY", "HF_FILE_SALT"]
    if not env.secret("HF_FILE_SALT", data_folder):
        wanted.append("TRIGGER_TOKEN")  # with a salt of the operator's own, the token falls back to it
    return [_make_up(name, data_folder) for name in wanted if not env.secret(name, data_folder)]


def _make_up(name: str, data_folder: Path) -> Path:
    path = env.secret_path(name, data_folder)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(secrets.token_urlsafe(32))
        file.flush()
        os.fsync(file.fileno())
    return path
