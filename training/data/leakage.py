"""Leakage: the same picture or text in more than one split, which makes held-out figures look better than they are."""

from __future__ import annotations

import hashlib
from collections import defaultdict

import msgspec

from training.data.source import SPLITS, DataSource
from training.progress import track


class Leak(msgspec.Struct, frozen=True):
    """One picture or text found in several splits: its sha256, and every place as "split:index"."""

    digest: str
    places: tuple[str, ...]


def find_leakage(source: DataSource) -> list[Leak]:
    """Every payload that lies, byte for byte, in two or more splits."""
    places: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for name in SPLITS:
        split = source.split(name)
        for index, example in enumerate(track(split, f"looking for duplicates in {name}", len(split))):
            places[hashlib.sha256(example.payload).hexdigest()].append((name, index))
    return [
        Leak(digest, tuple(f"{name}:{index}" for name, index in found))
        for digest, found in places.items()
        if len({name for name, _ in found}) > 1
    ]
