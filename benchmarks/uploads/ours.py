"""Our way: the upload stage's own part, with the accounts that the job names."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.uploads.job import PATH, REPO, Incoming, Job, download

if TYPE_CHECKING:
    from storage_app.backends.base import Backend
    from storage_app.models import StorageAccount

_TIMEOUT = 60.0


def main() -> None:
    """Send ahead while the file comes in, if it does, then bring it to every account."""
    job = Job.from_argument()
    os.environ["REELKEEP_DATA"] = job.memory
    os.environ["DJANGO_SETTINGS_MODULE"] = "archive_site.settings"
    import django

    django.setup()
    from storage_app.backends.base import FileToPut
    from storage_app.upload import Order, Uploads

    accounts = backends(job)

    def send_ahead(incoming: Incoming) -> None:
        def one(backend: Backend) -> None:
            backend.send_ahead(incoming, REPO, PATH)

        threads = [threading.Thread(target=one, args=(backend,), daemon=True) for _kind, backend in accounts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    downloaded_at = download(job, send_ahead)
    file = FileToPut(job.local, REPO, PATH, job.sha256, job.size, "video/mp4")
    orders = [Order(account(kind, index), backend, (file,)) for index, (kind, backend) in enumerate(accounts, start=1)]
    with Uploads(orders, progress=lambda _sent, _total: None, check=lambda: None, patience=3 * _TIMEOUT) as uploads:
        for outcome in uploads:
            if outcome.error:
                raise outcome.error
    job.ended(downloaded_at)


def backends(job: Job) -> list[tuple[str, Backend]]:
    """Kind and backend of every account of the job."""
    from storage_app.backends.hf_client import HubPlace
    from storage_app.backends.huggingface import HuggingFaceBackend
    from storage_app.backends.local import LocalBackend
    from storage_app.backends.s3 import Bucket, S3Backend

    memory = Path(job.memory) / "uploads"
    found: list[tuple[str, Backend]] = [
        (
            "huggingface",
            HuggingFaceBackend(HubPlace(job.endpoint, user, f"hf_{user}", "weaboo", "private", _TIMEOUT, memory)),
        )
        for user in job.users
    ]
    for endpoint, name in job.buckets:
        keys = (job.options["access_key"], job.options["secret_key"])
        bucket = Bucket(endpoint, name, "", *keys, "path", "", "", "weaboo", _TIMEOUT, memory)
        found.append(("s3", S3Backend(bucket)))
    if job.folder:
        found.append(("local", LocalBackend(Path(job.folder))))
    return found


def account(kind: str, index: int) -> StorageAccount:
    """As the table would have it."""
    from storage_app.models import StorageAccount

    return StorageAccount(index=index, kind=kind, username=f"account{index}")


if __name__ == "__main__":
    main()
