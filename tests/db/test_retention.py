"""Rules that let old videos go."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils.timezone import now

from storage_app import retention
from storage_app.models import RetentionRule, StorageAccount, StorageEvent, StorageTask, Tombstone, VideoStore
from storage_app.naming import VideoKey
from tests.archive import archive

pytestmark = pytest.mark.django_db


@pytest.fixture
def videos(accounts: list[StorageAccount]) -> list[VideoStore]:
    """Of 40, 20 and 0 days, in two works, of two providers."""
    made = []
    for number, (work, provider, days) in enumerate([(1, "a", 40), (1, "b", 20), (2, "a", 40), (2, "a", 0)]):
        video = archive(VideoKey(work, number, provider, None), accounts, b"x" * (number + 1))
        VideoStore.objects.filter(pk=video.pk).update(created_at=now() - timedelta(days=days, minutes=1))
        made.append(video)
    return made


def rule(days: int = 30, **changes: Any) -> RetentionRule:
    return RetentionRule.objects.create(**{"name": f"rule {days}", "days": days, "enabled": True, **changes})


def episodes(found: Any) -> list[int]:
    return sorted(found.values_list("episode", flat=True))


@pytest.mark.usefixtures("videos")
@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, [0, 2]),
        ({"days": 40}, [0, 2]),
        ({"days": 41}, []),
        ({"days": 10}, [0, 1, 2]),
        ({"days": 10, "mal_id": 1}, [0, 1]),
        ({"provider": "a", "mal_id": 2}, [2]),
        ({"provider": "none"}, []),
        ({"enabled": False}, [0, 2]),
    ],
)
def test_a_rule_matches_what_is_older_than_it_allows(changes: dict[str, Any], wanted: list[int]) -> None:
    assert episodes(retention.matching(rule(**changes))) == wanted


@pytest.mark.usefixtures("videos")
def test_it_deletes_them_like_an_operator_would() -> None:
    done = retention.apply(rule())
    assert (done.videos, done.bytes) == (2, 1 + 3)
    assert episodes(VideoStore.objects.all()) == [1, 3]
    stone = Tombstone.objects.first()
    assert stone is not None
    assert (stone.actor, stone.reason) == (
        "retention: rule 30", "The retention rule “rule 30” keeps videos for 30 days.",
    )  # fmt: skip
    assert StorageTask.objects.filter(kind="remove").count() == 4
    assert StorageEvent.objects.get(kind="retention").text == "The rule “rule 30” deleted 2 videos older than 30 days."
    assert retention.apply(rule(31)).videos == 0


@pytest.mark.usefixtures("videos")
def test_a_dry_run_only_tells() -> None:
    done = retention.apply(rule(10), dry_run=True)
    assert (done.videos, done.bytes) == (3, 1 + 2 + 3)
    assert episodes(VideoStore.objects.all()) == [0, 1, 2, 3]


@pytest.mark.usefixtures("videos")
def test_a_rule_that_is_not_enabled_deletes_nothing() -> None:
    assert retention.apply(rule(enabled=False)).videos == 2
    assert retention.apply_all() == []
    assert episodes(VideoStore.objects.all()) == [0, 1, 2, 3]


def test_more_videos_than_a_batch_go(accounts: list[StorageAccount]) -> None:
    VideoStore.objects.bulk_create(
        VideoStore(
            mal_id=1, episode=episode, provider="p", file_key="k", hf_account=1, hf_repo="", hf_path="",
            hf_direct_url="", stream_url="", created_at=now() - timedelta(days=9),
        )
        for episode in range(retention.BATCH + 50)
    )  # fmt: skip
    assert retention.apply(rule(5)).videos == retention.BATCH + 50
    assert Tombstone.objects.count() == retention.BATCH + 50


@pytest.mark.usefixtures("videos")
def test_the_command_tells_what_every_rule_would_do(capsys: pytest.CaptureFixture[str]) -> None:
    rule(10, name="all", enabled=False)
    rule(30, name="old")
    call_command("retention", "--dry-run", "--json")
    assert json.loads(capsys.readouterr().out) == {
        "dry_run": True,
        "rules": [
            {"rule": "all", "enabled": False, "videos": 3, "bytes": 6},
            {"rule": "old", "enabled": True, "videos": 2, "bytes": 4},
        ],
    }
    call_command("retention")
    assert capsys.readouterr().out.replace("\xa0", " ") == "old: deleted 2 videos of 4 bytes a copy.\n"
    RetentionRule.objects.update(enabled=False)
    call_command("retention")
    assert capsys.readouterr().out == "There is no rule that is enabled.\n"
    assert episodes(VideoStore.objects.all()) == [1, 3]
