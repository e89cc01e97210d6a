"""`/proxy`: what a signed URL leads to, wherever it lies (CONTRACT §2.2)."""

from __future__ import annotations

import re
import time

from django.core.exceptions import TooManyFieldsSent
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from archive_site.async_direct import without_middleware
from storage_app.playback.cors import failure, method_not_allowed, preflight
from storage_app.playback.signing import Refused, Signer
from storage_app.playback.upstream import proxied
from storage_app.playback.urls import keyring

# What a player adds to the URL of a playlist by itself (RFC 8216bis §6.2.5), so nobody can have signed it.
_DELIVERY_DIRECTIVE = re.compile(r"_HLS_[A-Za-z0-9_-]+=[A-Za-z0-9_.~%+-]*")


@without_middleware
@csrf_exempt
async def proxy(request: HttpRequest) -> HttpResponseBase:
    """GET, HEAD and the CORS preflight."""
    if request.method == "OPTIONS":
        return preflight()
    if request.method not in {"GET", "HEAD"}:
        return method_not_allowed()
    keys = keyring()
    try:
        # Of a parameter that is given twice, the first counts, as it does for the Worker.
        grant = keys.verify({name: values[0] for name, values in request.GET.lists()}, time.time())
    except TooManyFieldsSent:
        return failure(400, "bad_request", "The query has too many parameters.")
    except Refused as refusal:
        return failure(refusal.status, refusal.error, str(refusal))
    directives = filter(_DELIVERY_DIRECTIVE.fullmatch, request.META.get("QUERY_STRING", "").split("&"))
    return await proxied(
        request,
        grant.url,
        Signer(keys.current, grant.expires),
        variables=grant.variables,
        extra_query="&".join(directives),
    )
