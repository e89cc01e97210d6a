"""What the admin's tests share: an operator, a viewer, and a queue with a job in each state."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from queue_app.models import VideoQueue
from queue_app.queue import enqueue_video
from queue_app.states import VideoStatus
from storage_app.naming import VideoKey

QUEUE = "/admin/queue_app/videoqueue/"


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any) -> None:
    """A real hash takes a quarter of a second, and every test creates a user."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def operator(admin_client: Client) -> Client:
    """Logged in, may do everything."""
    return admin_client


@pytest.fixture
def viewer(db: None) -> Client:
    """Logged in, may only look."""
    user = User.objects.create_user("viewer", password="viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def jobs(db: None) -> dict[str, VideoQueue]:
    """One job in each state."""
    return {status: make_job(status, episode) for episode, status in enumerate(VideoStatus.values)}


def make_job(status: str = "pending", episode: int = 1, **changes: Any) -> VideoQueue:
    """A job in this state."""
    job = enqueue_video(VideoKey(55825, episode, "animasu", "720p"), f"https://example.com/{episode}.mp4")
    VideoQueue.objects.filter(pk=job.pk).update(status=status, **changes)
    job.refresh_from_db()
    return job


def text(answer: Any) -> str:
    """A page's text without its tags."""
    assert answer.status_code == 200, answer.status_code
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def messages(answer: Any) -> list[str]:
    """What the page tells the operator."""
    return [str(message) for message in answer.context["messages"]]
