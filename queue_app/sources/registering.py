"""Registering works and their sources, wherever from: the API, a manifest file, the admin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from queue_app.models import Work, WorkSource

_EDITABLE = ("label", "resolver", "position", "enabled")
_BATCH = 1000

Key = tuple[int, str, str | None, str]


@dataclass(frozen=True)
class Changes:
    """What became of a work's sources."""

    created: bool
    """Is the work new?"""
    added: int = 0
    changed: int = 0
    removed: int = 0


def put_sources(
    mal_id: int, title: str | None, sources: Iterable[Mapping[str, Any]], *, episode: int | None = None
) -> Changes:
    """Makes these, in this order, the sources of the work, or of one of its episodes; all or nothing.

    `sources` are valid data of SourceSerializer, each once. The same again changes nothing. With `title` None the work
    keeps the one it has; raises Work.DoesNotExist when it has none.
    """
    with transaction.atomic():
        work, created = _locked(mal_id, title)
        scope = WorkSource.objects.filter(work=work, **({} if episode is None else {"episode": episode}))
        before = {_key_of(source): source for source in scope}
        after = {_key_of(source): source for source in _rows(work, sources)}
        changed = [_with_new(before[key], after[key]) for key in after if _differs(before.get(key), after[key])]
        added = [source for key, source in after.items() if key not in before]
        removed = [source.pk for key, source in before.items() if key not in after]
        WorkSource.objects.filter(pk__in=removed).delete()
        WorkSource.objects.bulk_update(changed, _EDITABLE, batch_size=_BATCH)
        WorkSource.objects.bulk_create(added, batch_size=_BATCH)
        if not created and (added or changed or removed or (title is not None and title != work.title)):
            Work.objects.filter(pk=mal_id).update(title=title or work.title, updated_at=Now())
    return Changes(created, len(added), len(changed), len(removed))


def add_sources(mal_id: int, sources: Iterable[Mapping[str, Any]]) -> Changes:
    """Adds these behind what the work's episodes have, or changes those that it has already.

    Of the latter a label, a resolver or `enabled` that isn't given stays as it is, and so does the position.
    """
    with transaction.atomic():
        work, _ = _locked(mal_id, None)
        before = {_key_of(source): source for source in WorkSource.objects.filter(work=work)}
        last: dict[int, int] = {}
        for source in before.values():
            last[source.episode] = max(last.get(source.episode, -1), source.position)
        added, changed = [], []
        given = list(sources)
        for source, data in zip(_rows(work, given), given, strict=True):
            known = before.get(_key_of(source))
            if known is None:
                last[source.episode] = source.position = last.get(source.episode, -1) + 1
                added.append(source)
            else:
                for name in _EDITABLE:
                    if data.get(name) in {None, ""}:
                        setattr(source, name, getattr(known, name))
                changed += [_with_new(known, source)] if _differs(known, source) else []
        WorkSource.objects.bulk_update(changed, _EDITABLE, batch_size=_BATCH)
        WorkSource.objects.bulk_create(added, batch_size=_BATCH)
        if added or changed:
            Work.objects.filter(pk=mal_id).update(updated_at=Now())
    return Changes(created=False, added=len(added), changed=len(changed))


def delete_work(mal_id: int) -> bool:
    """Forgets a work with its sources; what is archived or enqueued stays. Was there one?"""
    return bool(Work.objects.filter(pk=mal_id).delete()[0])


def delete_episode(mal_id: int, episode: int) -> bool:
    """Forgets an episode's sources. Were there any?"""
    with transaction.atomic():
        removed = WorkSource.objects.filter(work_id=mal_id, episode=episode).delete()[0]
        if removed:
            Work.objects.filter(pk=mal_id).update(updated_at=Now())
    return bool(removed)


def default_label(provider: str, resolution: str | None) -> str:
    """What a source is called that came without a name."""
    return f"{provider} {resolution or ''}".rstrip()


def key_of(data: Mapping[str, Any]) -> Key:
    """By what two sources of a work are the same."""
    return data["episode"], data["provider"], data.get("resolution") or None, data["url"]


def _locked(mal_id: int, title: str | None) -> tuple[Work, bool]:
    """The work, locked until the transaction's end, and whether it is new; it is made if there is a title for it."""
    created = False
    if title is not None:
        _, created = Work.objects.get_or_create(mal_id=mal_id, defaults={"title": title})
    return Work.objects.select_for_update().get(pk=mal_id), created


def _rows(work: Work, sources: Iterable[Mapping[str, Any]]) -> list[WorkSource]:
    rows: list[WorkSource] = []
    positions: dict[int, int] = {}
    for data in sources:
        episode, provider, resolution, url = key_of(data)
        position = positions[episode] = positions.get(episode, -1) + 1
        rows.append(
            WorkSource(
                work=work, episode=episode, provider=provider, resolution=resolution, url=url, position=position,
                label=data.get("label") or default_label(provider, resolution), resolver=data.get("resolver") or "",
                enabled=data.get("enabled", True),
            )
        )  # fmt: skip
    return rows


def _key_of(source: WorkSource) -> Key:
    return source.episode, source.provider, source.resolution, source.url


def _differs(known: WorkSource | None, new: WorkSource) -> bool:
    return known is not None and any(getattr(known, name) != getattr(new, name) for name in _EDITABLE)


def _with_new(known: WorkSource, new: WorkSource) -> WorkSource:
    for name in _EDITABLE:
        setattr(known, name, getattr(new, name))
    return known
