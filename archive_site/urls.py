"""The whole URL map."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from django.contrib import admin
from django.http import HttpResponseBase
from django.urls import URLPattern, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from rest_framework.negotiation import DefaultContentNegotiation

from archive_site.api_errors import NothingHere
from archive_site.async_direct import without_middleware
from archive_site.health import HealthView
from queue_app.api.job_lookup import queued_video, work_title
from queue_app.api.jobs import CancelView, JobView, QueueView, RequeueView
from queue_app.api.status import StatusView, queue_status
from queue_app.api.streaming import StreamingView
from queue_app.api.trigger import TriggerView
from queue_app.api.works import EpisodeSourcesView, WorkView
from queue_app.sources.playable import playable_source
from storage_app.api.captions import CaptionsView, PictureView
from storage_app.api.download import DownloadLinkView, DownloadView
from storage_app.api.lookup import LookupAsItComesView, LookupView
from storage_app.api.proxy import proxy
from storage_app.api.store import StoredVideoView
from storage_app.api.stream import StreamAsItComesView, StreamView
from storage_app.api.watch import WatchView

handler400 = "archive_site.api_errors.bad_request"
handler404 = "archive_site.api_errors.not_found"
handler500 = "archive_site.api_errors.server_error"

View = Callable[..., HttpResponseBase] | Callable[..., Coroutine[Any, Any, HttpResponseBase]]


def either(route: str, view: View, name: str) -> list[URLPattern]:
    """With and without a slash at the end: clients write both, and a redirect would lose a POST's body."""
    return [path(route, view, name=name), path(f"{route}/", view)]


schema = SpectacularAPIView.as_view(content_negotiation_class=DefaultContentNegotiation)
docs = SpectacularSwaggerView.as_view(url_name="schema")
_PLAYABLE: dict[str, Any] = {"queue_status": queue_status, "source_of": playable_source}
stream = without_middleware(StreamView.as_view(**_PLAYABLE))
stream_as_it_comes = without_middleware(StreamAsItComesView.as_view(**_PLAYABLE))
lookup = LookupView.as_view(**_PLAYABLE)
lookup_as_it_comes = LookupAsItComesView.as_view(**_PLAYABLE)
download = without_middleware(DownloadView.as_view(work_title=work_title))
watch = WatchView.as_view(work_title=work_title)

urlpatterns = [
    # First what players ask for all the time: each pattern before it would be tried on each segment of a stream.
    *either("stream/<str:mal_id>/<str:episode>/<str:provider>/<str:resolution>", stream, "stream"),
    *either("stream/<str:mal_id>/<str:episode>/<str:provider>", stream_as_it_comes, "stream-as-it-comes"),
    *either("proxy", proxy, "proxy"),
    *either("api/v1/streaming/<str:mal_id>/<str:episode>", StreamingView.as_view(), "streaming"),
    path("", RedirectView.as_view(url="/admin/")),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
    *either("health", HealthView.as_view(), "health"),
    *either("trigger", TriggerView.as_view(), "trigger"),
    *either("status", StatusView.as_view(), "status"),
    *either("api/v1/queue", QueueView.as_view(), "queue"),
    *either("api/v1/queue/<uuid:job_id>", JobView.as_view(), "job"),
    *either("api/v1/queue/<uuid:job_id>/cancel", CancelView.as_view(), "job-cancel"),
    *either("api/v1/queue/<uuid:job_id>/requeue", RequeueView.as_view(), "job-requeue"),
    *either("api/v1/store/<uuid:video_id>", StoredVideoView.as_view(), "stored-video"),
    *either("api/v1/store/<str:mal_id>/<str:episode>/<str:provider>/<str:resolution>", lookup, "lookup"),
    *either("api/v1/store/<str:mal_id>/<str:episode>/<str:provider>", lookup_as_it_comes, "lookup-as-it-comes"),
    *either("api/v1/anime/mal/<str:mal_id>", WorkView.as_view(), "work"),
    *either("api/v1/anime/mal/<str:mal_id>/episodes/<str:episode>", EpisodeSourcesView.as_view(), "episode-sources"),
    *either("watch/<str:mal_id>/<str:episode>/<str:provider>/<str:resolution>", watch, "watch"),
    *either("watch/<str:mal_id>/<str:episode>/<str:provider>", watch, "watch-as-it-comes"),
    path("captions/<uuid:file_id>.vtt", CaptionsView.as_view(), name="captions"),
    path("pictures/<uuid:file_id>", PictureView.as_view(), name="picture"),
    *either("api/videos/<uuid:video_id>/download", DownloadLinkView.as_view(find_job=queued_video), "video-download"),
    *either("download/<uuid:video_id>", download, "download"),
    *either("api/schema", schema, "schema"),
    *either("api/docs", docs, "docs"),
    re_path(r"", NothingHere.as_view()),
]
