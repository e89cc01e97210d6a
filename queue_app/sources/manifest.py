"""Manifest files of sources: many works at once, all or nothing. `sources.schema.json` describes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.fields import empty

from archive_site.address_lists import AddressChecks
from archive_site.json_body import parse_json
from queue_app.api.serializers import WorkIdField
from queue_app.api.source_serializers import SourceSerializer, WorkRequestSerializer, checked
from queue_app.fetching import fetch_policy
from queue_app.sources.registering import Changes, put_sources
from storage_app import key_rules

MAX_BYTES = 256 * 1024 * 1024


class ManifestRefused(Exception):
    """Nothing of it was taken. `faults` are sentences, each with the place in the file."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__(f"{len(faults)} faults.")
        self.faults = list(faults)


class ManifestWorkSerializer(WorkRequestSerializer):
    """One work of a file. A field that isn't known is a fault: nobody would notice that it was misspelt."""

    mal_id = WorkIdField(min_value=0, max_value=key_rules.WORK_MAX)

    def run_validation(self, data: Any = empty) -> Any:
        """Unknown fields first."""
        if isinstance(data, Mapping):
            _refuse_unknown(data, self.fields)
            sources = data.get("sources")
            known = SourceSerializer().fields
            for place, source in enumerate(sources if isinstance(sources, list) else []):
                if isinstance(source, Mapping):
                    _refuse_unknown(source, known, f"sources[{place}].")
        return super().run_validation(data)


@dataclass(frozen=True)
class Registered:
    """What became of one work."""

    mal_id: int
    title: str
    changes: Changes


def read(content: bytes) -> list[dict[str, Any]]:
    """The works in a file's content. Raises ManifestRefused with all that is wrong; writes nothing."""
    try:
        value = parse_json(content)
    except APIException as error:
        raise ManifestRefused([str(error.detail).replace("The body", "The file")]) from None
    if not isinstance(value, dict) or not isinstance(value.get("works"), list) or set(value) != {"works"}:
        raise ManifestRefused(['The file must hold a JSON object {"works": […]}, and nothing beside.'])
    works: list[dict[str, Any]] = []
    faults: list[str] = []
    seen: set[int] = set()
    addresses = AddressChecks(fetch_policy())
    for place, item in enumerate(value["works"]):
        try:
            work = checked(ManifestWorkSerializer, item, addresses)
        except ValidationError as refusal:
            faults += _sentences(refusal.detail, f"works[{place}]")
            continue
        if work["mal_id"] in seen:
            faults.append(f"works[{place}].mal_id: This work stands in the file twice.")
        seen.add(work["mal_id"])
        works.append(work)
    if faults:
        raise ManifestRefused(faults)
    return works


def register(works: Sequence[Mapping[str, Any]], *, dry_run: bool = False) -> list[Registered]:
    """Registers them, all or none; with `dry_run` none, but what would become of each is told."""
    with transaction.atomic():
        done = [
            Registered(work["mal_id"], work["title"], put_sources(work["mal_id"], work["title"], work["sources"]))
            # In the order of their numbers, so that two files with the same works don't wait for one another.
            for work in sorted(works, key=lambda work: int(work["mal_id"]))
        ]
        transaction.set_rollback(dry_run)
    return done


def _refuse_unknown(given: Mapping[str, Any], known: Mapping[str, Any], where: str = "") -> None:
    unknown = sorted(str(name) for name in set(given) - set(known))
    if unknown:
        raise ValidationError({f"{where}{name}": ["There is no such field."] for name in unknown})


def _sentences(detail: Any, where: str) -> Iterator[str]:
    """Each sentence of nested errors behind its place."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            place = f"[{name}]" if isinstance(name, int) or name.isdigit() else f".{name}"
            yield from _sentences(inner, where if name == "non_field_errors" else f"{where}{place}")
    elif isinstance(detail, list):
        for inner in detail:
            yield from _sentences(inner, where)
    else:
        yield f"{where}: {detail}"
