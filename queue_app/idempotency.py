"""The Idempotency-Key header (draft-ietf-httpapi-idempotency-key-header): a request that is sent twice is done once.

An answer is remembered in the transaction of what it answers for: either both are there after a crash or neither is.
Only answers that say something was done are remembered, so a refused request may be corrected and sent with its key.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now

from queue_app.models import RememberedAnswer

KEPT = timedelta(hours=24)
HEADER = "Idempotency-Key"

_KEY = re.compile(r"[\x21-\x7e]{1,255}")

Answer = tuple[int, Any]
"""Status and JSON."""


class KeyReused(Exception):
    """The key came before, with another request."""


@dataclass(frozen=True)
class Attempt:
    """One request with a key. `scope` keeps the keys of one token's holders from those of another's."""

    scope: str
    key: str
    body_sha256: str

    def remembered(self) -> Answer | None:
        """The answer that this request got before. Raises KeyReused."""
        found = RememberedAnswer.objects.filter(scope=self.scope, key=self.key, at__gt=Now() - KEPT).first()
        if found is None:
            return None
        if found.body_sha256 != self.body_sha256:
            raise KeyReused
        return found.status, json.loads(found.answer)

    def once(self, work: Callable[[], Answer]) -> tuple[Answer, bool]:
        """What `work` answers, remembered with what it wrote; or the remembered answer, and True.

        Of two at the same time the second waits for the first. Raises KeyReused.
        """
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{self.scope} {self.key}"])
            before = self.remembered()
            if before is not None:
                return before, True
            status, answer = work()
            RememberedAnswer.objects.update_or_create(
                scope=self.scope,
                key=self.key,
                defaults={
                    "body_sha256": self.body_sha256, "status": status, "answer": json.dumps(answer), "at": Now(),
                },
            )  # fmt: skip
            return (status, answer), False


def read_key(header: str, scope: str, body: bytes) -> Attempt:
    """The attempt that the header's value names. Raises ValueError with a sentence for the sender."""
    if not _KEY.fullmatch(header):
        raise ValueError("Must be 1 to 255 visible ASCII characters, for example a UUID.")
    return Attempt(scope, header, hashlib.sha256(body).hexdigest())
