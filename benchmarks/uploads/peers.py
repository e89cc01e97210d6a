"""The others' ways: `upload_file` of huggingface_hub, one account after another or in threads."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.uploads.job import PATH, REPO, Job, download


def main() -> None:
    """`peers JOB loop|threads lfs|xet`."""
    job, order, way = Job.from_argument(), sys.argv[2], sys.argv[3]
    os.environ["HF_HOME"] = str(Path(job.memory) / "huggingface")
    os.environ["HF_HUB_DISABLE_XET"] = "1" if way == "lfs" else "0"
    from huggingface_hub import HfApi

    downloaded_at = download(job)

    def upload(user: str) -> None:
        api, repo = HfApi(job.endpoint, f"hf_{user}"), f"{user}/{REPO}"
        api.create_repo(repo, repo_type="dataset", private=True, exist_ok=True)
        api.upload_file(path_or_fileobj=str(job.local), path_in_repo=PATH, repo_id=repo, repo_type="dataset")

    with ThreadPoolExecutor(len(job.users) if order == "threads" else 1) as threads:
        list(threads.map(upload, job.users))
    job.ended(downloaded_at)


if __name__ == "__main__":
    main()
