"""How many copies the placement policies want."""

from __future__ import annotations

from storage_app.models import PlacementPolicy, StorageAccount


class Wanted:
    """How many copies the policies want of a work's files, with the accounts that there are now."""

    def __init__(self) -> None:
        self._enabled = set(StorageAccount.objects.filter(enabled=True).values_list("index", flat=True))
        self._policies = {
            policy.mal_id: policy for policy in PlacementPolicy.objects.prefetch_related("accounts").all()
        }

    def accounts(self, mal_id: int | None) -> set[int]:
        """The numbers of the accounts that may have copies."""
        policy = self._policies.get(mal_id) or self._policies.get(None)
        chosen = {account.index for account in policy.accounts.all()} if policy else set()
        return self._enabled & chosen if chosen else self._enabled

    def copies(self, mal_id: int | None) -> int:
        """No more than there are accounts for."""
        policy = self._policies.get(mal_id) or self._policies.get(None)
        most = len(self.accounts(mal_id))
        return min(policy.copies, most) if policy and policy.copies else most
