"""What Tidegate keeps in MLflow's tags: the digest of a version, and on its model the promotion events and lock claims.

A tag's value may have 5,000 characters in some of MLflow's databases, so an event is written in parts, the first one
last: without it the event was never completed and counts for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from registry.event import PromotionEvent, decode_record
from registry.lock import LockRecord

PACKAGE_TAG = "tidegate.package"
"""Marks registered models that hold packages: a shared MLflow has others too."""
DIGEST_TAG = "tidegate.digest"
LOCK_TAG = "tidegate.lock."
EVENT_TAG = "tidegate.event."
PART_CHARACTERS = 4000


def event_tags(event: PromotionEvent) -> Iterator[tuple[str, str]]:
    """Key and value of every tag, in the order to write them: tidegate.event.<id>.<part>.<number of parts>."""
    text = msgspec.json.encode(event).decode()
    parts = [text[start : start + PART_CHARACTERS] for start in range(0, len(text), PART_CHARACTERS)]
    for index in reversed(range(len(parts))):
        yield f"{EVENT_TAG}{event.id}.{index}.{len(parts)}", parts[index]


def events_of(tags: Mapping[str, str]) -> list[PromotionEvent]:
    """The complete events among a registered model's tags, oldest first."""
    first_parts = sorted(key for key in tags if key.startswith(EVENT_TAG) and key.split(".")[-2] == "0")
    return [decode_event(tags, key) for key in first_parts]


def decode_event(tags: Mapping[str, str], first_key: str) -> PromotionEvent:
    prefix, _, count = first_key.rsplit(".", 2)
    text = "".join(tags.get(f"{prefix}.{index}.{count}", "") for index in range(int(count)))
    return decode_record(text, PromotionEvent, f"tag {first_key}")


def lock_tag(key: str, record: LockRecord) -> tuple[str, str]:
    return LOCK_TAG + key, msgspec.json.encode(record).decode()


def locks_of(tags: Mapping[str, str]) -> dict[str, LockRecord]:
    """Every claim on the lock of a registered model, by key."""
    claims = {key.removeprefix(LOCK_TAG): value for key, value in tags.items() if key.startswith(LOCK_TAG)}
    return {key: decode_record(value, LockRecord, f"tag {LOCK_TAG}{key}") for key, value in claims.items()}
