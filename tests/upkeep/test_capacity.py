"""How full accounts are, and what follows from it."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils.timezone import now

from queue_app import tasks as chores
from storage_app.models import CapacitySample, Reservation, StorageAccount, StorageEvent, StorageTask, TaskKind
from storage_app.upkeep.measure import measure_all
from storage_app.upkeep.tasks import pause
from tests.upkeep.conftest import due, events, videos


@pytest.mark.django_db(transaction=True)
def test_every_account_is_measured_and_the_figures_are_kept(accounts: list[StorageAccount]) -> None:
    videos(accounts, 2, 1000)
    StorageAccount.objects.filter(index=1).update(limit_bytes=5000)
    Reservation.objects.create(job=uuid4(), account=accounts[0], size=700)
    assert chores.measure_accounts() == 2
    due()
    sample = CapacitySample.objects.get(account=1)
    assert (sample.used_bytes, sample.reserved_bytes, sample.free_bytes, sample.files) == (2000, 700, 3000, 2)
    accounts[0].refresh_from_db()
    accounts[1].refresh_from_db()
    assert (accounts[0].used_bytes, accounts[0].free_bytes) == (2000, 3000)
    assert (accounts[1].free_bytes or 0) > 3000
    assert accounts[0].measured_at is not None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("reason", "woken"), [("The disk is full.", True), ("It refuses our token.", False)])
def test_an_account_with_room_again_is_woken_if_it_was_room_that_it_lacked(
    accounts: list[StorageAccount], reason: str, woken: bool
) -> None:
    videos(accounts, 1, 1000)
    StorageAccount.objects.filter(index=1).update(limit_bytes=5000)
    pause(1, reason)
    measure_all()
    due()
    accounts[0].refresh_from_db()
    assert (accounts[0].paused_until is None) is woken
    assert ("room_again" in events()) is woken


@pytest.mark.django_db(transaction=True)
def test_an_account_that_is_still_full_stays_paused(accounts: list[StorageAccount]) -> None:
    videos(accounts, 1, 1000)
    StorageAccount.objects.filter(index=1).update(limit_bytes=1000)
    pause(1, "The disk is full.")
    measure_all()
    due()
    accounts[0].refresh_from_db()
    assert (accounts[0].free_bytes, accounts[0].paused_until is None) == (0, False)


@pytest.mark.django_db(transaction=True)
def test_the_chores_ask_for_the_stores_upkeep_and_keep_its_history_small(accounts: list[StorageAccount]) -> None:
    videos(accounts, 1, 1000)
    assert (chores.reconcile_accounts(), chores.scrub_copies()) == (2, 2)
    assert StorageTask.objects.filter(kind=TaskKind.VERIFY, actor="scrub").count() == 2
    long_ago = now() - timedelta(days=400)
    StorageEvent.objects.create(kind="copied", text="x", at=long_ago)
    for hour in range(3):
        CapacitySample.objects.create(
            account=accounts[0], at=long_ago.replace(hour=hour), used_bytes=1, reserved_bytes=0, files=0
        )
    assert chores.purge_store_history() == 3
    assert CapacitySample.objects.get().at.hour == 2
