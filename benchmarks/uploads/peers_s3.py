"""`aws s3 cp` to one bucket after another, then a plain copy into the folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.uploads.job import PATH, REPO, Job, download


def main() -> None:
    """`peers_s3 JOB AWS`, where AWS is the program."""
    job, program = Job.from_argument(), sys.argv[2]
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": job.options["access_key"],
        "AWS_SECRET_ACCESS_KEY": job.options["secret_key"],
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
    }
    downloaded_at = download(job)
    for endpoint, bucket in job.buckets:
        command = [program, "--endpoint-url", endpoint, "s3", "cp", "--only-show-errors"]
        subprocess.run([*command, str(job.local), f"s3://{bucket}/{REPO}/{PATH}"], check=True, env=environment)
    target = Path(job.folder) / REPO / PATH
    target.parent.mkdir(parents=True)
    subprocess.run(["cp", str(job.local), str(target)], check=True)
    job.ended(downloaded_at)


if __name__ == "__main__":
    main()
