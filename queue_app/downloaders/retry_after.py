"""What Retry-After says (RFC 9110 §10.2.3)."""

from __future__ import annotations

import email.utils
import re
import time
from datetime import UTC


def retry_after(value: str) -> float | None:
    """Seconds to wait by the header's `value`, which holds seconds or a date; None when it holds neither."""
    value = value.strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
        # RFC 9110 §5.6.7: dates are in GMT, also in the obsolete form that doesn't say so.
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, moment.timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
