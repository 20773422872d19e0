"""Leakage: the same picture or text in more than one split, which makes held-out figures look better than they are."""

from __future__ import annotations

import hashlib
from collections import defaultdict

import msgspec

from training.data.source import SPLITS, DataSource, Split
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


def num_crossing(known: DataSource, added: DataSource) -> int:
    """How many payloads of `added` lie, byte for byte, in another split of `known` than their own."""
    theirs = {name: digests_of(known.split(name), f"looking at what is known for {name}") for name in SPLITS}
    total = 0
    for name in SPLITS:
        elsewhere = set().union(*(digests for other, digests in theirs.items() if other != name))
        total += len(digests_of(added.split(name), f"looking at what is added for {name}") & elsewhere)
    return total


def digests_of(split: Split, doing: str) -> set[str]:
    """sha256 of every payload."""
    return {hashlib.sha256(example.payload).hexdigest() for example in track(split, doing, len(split))}
