"""An archived video with its copies, by one statement: this is asked for each range that each player wants.

What the database says is not kept from one request to the next: a video that is deleted is gone at once.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from django.db import connection

from storage_app.naming import VideoKey
from storage_app.replicas import Content, Held, Holder

_VIDEO_WITH_COPIES = """
    SELECT video.hf_account, video.created_at, file.size, file.content_type,
           file.id, file.repo, file.path, file.sha256,
           replica.id, replica.etag,
           account.index, account.kind, account.username, account.root, account.endpoint, account.bucket,
           account.region, account.addressing, account.encryption, account.public_url, account.access_key,
           account.secret, account.secret_env, account.enabled, account.paused_until, account.pause_reason
      FROM video_store video
      JOIN stored_file file ON file.id = video.stored_file_id
 LEFT JOIN replica ON replica.stored_file_id = file.id
 LEFT JOIN storage_account account ON account.index = replica.account_id
     WHERE video.mal_id = %s AND video.episode = %s AND video.provider = %s
       AND video.resolution IS NOT DISTINCT FROM %s
"""


class ArchivedVideo(NamedTuple):
    """What it takes to play a video. `primary` is the index of its first account."""

    primary: int
    created_at: datetime
    size: int
    content_type: str
    file: Content
    replicas: list[Held]


def archived_video(key: VideoKey) -> ArchivedVideo | None:
    """The video under this key. None when there is none, and when no stored file is known of it."""
    with connection.cursor() as cursor:
        cursor.execute(_VIDEO_WITH_COPIES, [key.mal_id, key.episode, key.provider, key.resolution])
        rows = cursor.fetchall()
    if not rows:
        return None
    replicas = [Held(row[8], row[9], Holder(*row[10:])) for row in rows if row[8] is not None]
    primary, created_at, size, content_type, *content = rows[0][:8]
    return ArchivedVideo(primary, created_at, size, content_type, Content(*content), replicas)
