"""`/watch/…`: the page that plays a video, by its natural key: what `/stream/…` gives, whatever that is now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.views import View

from archive_site.admin_parts import duration, size
from storage_app.beside import beside
from storage_app.key_rules import parse_key
from storage_app.models import VideoStore
from storage_app.naming import VideoKey

_PAGE = "player/watch.html"


class WatchView(View):
    """The player for one video. It is the same page before, while and after the video is archived."""

    http_method_names = ["get", "head"]
    work_title: Callable[[int], str | None] | None = None  # given in urls.py

    def get(
        self, request: HttpRequest, mal_id: str, episode: str, provider: str, resolution: str | None = None
    ) -> HttpResponse:
        """The page; with `?embed=1` the player alone, for a frame. 404 for what no video can be called."""
        key = parse_key(mal_id, episode, provider, resolution)
        context = {"embed": request.GET.get("embed") == "1", "title": "No such video"}
        if key is not None:
            title = self.work_title(key.mal_id) if self.work_title else None
            context |= _context(key, title)
        answer = render(request, _PAGE, context, status=404 if key is None else 200)
        answer["Content-Security-Policy"] = _policy()
        answer["Cache-Control"] = "no-cache"
        answer["Referrer-Policy"] = "same-origin"
        return answer


def _context(key: VideoKey, work_title: str | None) -> dict[str, Any]:
    versions = _versions(key)
    video = next((one for one in versions if one.resolution == key.resolution), None)
    found = beside([*([video] if video else []), *(one for one in versions if one is not video)])
    title = work_title or (video.title if video else "") or f"Work {key.mal_id}"
    file = video.stored_file if video else None
    facts = [key.provider, key.resolution, duration(file.duration) if file else "", size(file.size) if file else ""]
    return {
        "title": title,
        "episode": key.episode,
        "facts": [fact for fact in facts if fact],
        "video": video,
        "captions": found.captions,
        "poster": found.poster,
        "stream": _stream(key),
        "config": {
            "stream": _stream(key),
            "watch": key.watch_path(),
            "place": f"{key.mal_id}/{key.episode}/{key.provider}",
            "versions": [_version(one) for one in versions],
            "download": f"/api/videos/{video.pk}/download" if video else None,
            "storyboard": vars(found.storyboard) if found.storyboard else None,
            "hls": {
                "script": static("vendor/hls.js/hls.min.mjs"),
                "worker": static("vendor/hls.js/hls.worker.js"),
            },
        },
    }


def _versions(key: VideoKey) -> list[VideoStore]:
    """This episode of this provider in every resolution that is archived, the highest first."""
    rows = VideoStore.objects.filter(mal_id=key.mal_id, episode=key.episode, provider=key.provider)
    return sorted(rows.select_related("stored_file"), key=lambda row: -_lines(row))


def _lines(video: VideoStore) -> int:
    """Lines of its picture: as ffprobe found, else as its resolution says."""
    media = video.stored_file.media if video.stored_file else {}
    heights = [stream.get("height") or 0 for stream in media.get("streams", ())]
    digits = "".join(filter(str.isdigit, video.resolution or ""))
    return max(heights, default=0) or int(digits or 0)


def _version(video: VideoStore) -> dict[str, str]:
    key = VideoKey(video.mal_id, video.episode, video.provider, video.resolution)
    return {"label": video.resolution or "As it came", "stream": _stream(key), "watch": key.watch_path()}


def _stream(key: VideoKey) -> str:
    """From the Worker where there is one; else from whatever host this page was opened at."""
    return f"{settings.CLOUDFLARE_WORKERS_URL}{key.stream_path()}"


def _policy() -> str:
    """Scripts and styles from this site alone; the video also from the Worker, and from buckets that we redirect to."""
    worker = urlsplit(settings.CLOUDFLARE_WORKERS_URL)
    # Without its path: with one a policy allows that path alone (CSP §6.7.2.8), and here nothing below it.
    edge = f" {worker.scheme}://{worker.netloc}" if worker.netloc else ""
    buckets = " https: http:" if settings.S3_PLAYBACK == "redirect" else ""
    rules = {
        "default-src": "'none'",
        "script-src": "'self'",
        "worker-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "font-src": "'none'",
        "connect-src": f"'self'{edge}{buckets}",
        "media-src": f"'self' blob:{edge}{buckets}",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'self'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())
