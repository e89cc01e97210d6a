"""What viewers are told when an upstream can't be had."""

from __future__ import annotations

from django.http import HttpResponse

from archive_site.async_errors import TimedOut
from archive_site.fetch_errors import AddressRefused, BodyTooLarge, Cut, FetchError, TooManyRedirects
from storage_app.playback.cors import failure

# The first that fits. The texts name no address: who reads them need not know it.
_FAILURES: dict[type[FetchError], tuple[int, str, str]] = {
    AddressRefused: (403, "address_refused", "The source has an address that this site doesn't fetch from."),
    TooManyRedirects: (502, "too_many_redirects", "The source redirects too many times."),
    TimedOut: (504, "upstream_timeout", "The source took too long to answer."),
    BodyTooLarge: (502, "playlist_too_large", "The playlist is larger than 8 MiB."),
    Cut: (502, "upstream_unreachable", "The source stopped in the middle of its playlist."),
}


def failed(error: FetchError) -> HttpResponse:
    """The answer that goes with this error."""
    for kind, (status, word, text) in _FAILURES.items():
        if isinstance(error, kind):
            return failure(status, word, text)
    return failure(502, "upstream_unreachable", "The source can't be reached.")
