"""Puts one video into a prepared archive and prints its links: `archived FILE SHA256 UPSTREAM`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main() -> None:
    """The copy is a hard link: all contenders read the same pages of memory."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "archive_site.settings")
    import django

    django.setup()
    from django.conf import settings

    from storage_app.models import Replica, StorageAccount, StoredFile, VideoStore
    from storage_app.naming import VideoKey
    from storage_app.playback.urls import signer

    source, sha256, upstream = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    key, account = VideoKey(55825, 1, "bench", "1080p"), StorageAccount.objects.earliest("index")
    repo, path = key.repo("weaboo"), key.path(settings.HF_FILE_SALT)
    place = Path(account.root) / repo / path
    place.parent.mkdir(parents=True)
    os.link(source, place)
    file = StoredFile.objects.create(
        repo=repo, path=path, sha256=sha256, size=source.stat().st_size, duration=1440.0, media={"container": "mp4"}
    )
    Replica.objects.create(stored_file=file, account=account)
    VideoStore.objects.create(
        mal_id=key.mal_id,
        episode=key.episode,
        provider=key.provider,
        resolution=key.resolution,
        file_key=key.file_key(settings.HF_FILE_SALT),
        hf_account=account.index,
        hf_repo=repo,
        hf_path=path,
        hf_direct_url="",
        stream_url=key.stream_path(),
        stored_file=file,
    )
    links = {"stream": key.stream_path(), "proxy": f"/proxy?{signer().exact(upstream)}"}
    sys.stdout.write(json.dumps(links))


if __name__ == "__main__":
    main()
