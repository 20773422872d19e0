"""The history of a model's promotions, and what a rollback would undo. All of it asks the store: for a thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from registry.event import PromotionEvent
from registry.promotion import holder, interrupted, rollback, undone_target
from registry.reference import CHAMPION, VersionInfo
from registry.store import PackageStore
from serving.model_slot import without_places
from tasks.errors import BadInput, ErrorKind, TidegateError

IMPOSSIBLE = frozenset({ErrorKind.BAD_INPUT, ErrorKind.CONFLICT, ErrorKind.NOT_FOUND})
"""Why there may be nothing to roll back to; anything else is trouble with the store."""


class Undo(msgspec.Struct, frozen=True, kw_only=True):
    """What a rollback would do now. `target` None: it would leave the alias with nobody."""

    alias: str
    current: str
    target: VersionInfo | None


class Promotions(msgspec.Struct, frozen=True, kw_only=True):
    """Events newest first; `interrupted` are the ids of those that never moved their alias. Without `undo`,
    `undo_refused` says why."""

    name: str
    events: tuple[PromotionEvent, ...]
    interrupted: tuple[str, ...]
    versions: tuple[VersionInfo, ...]
    undo: Undo | None
    undo_refused: str


@contextmanager
def told_without_places() -> Iterator[None]:
    """The store's errors, but not where it lies: the prediction port is no port of administration."""
    try:
        yield
    except TidegateError as error:
        raise type(error)(without_places(str(error))) from error


@told_without_places()
def read_promotions(store: PackageStore, name: str) -> Promotions:
    """Raises NotFound for a model that the store does not have, NotReady."""
    versions = store.versions(name)
    events = store.events(name)
    undo, refused = None, ""
    try:
        undo = find_undo(store, name)
    except TidegateError as error:
        if error.kind not in IMPOSSIBLE:
            raise
        refused = without_places(str(error))
    return Promotions(
        name=name,
        events=tuple(reversed(events)),
        interrupted=tuple(sorted(interrupted(store, name, events))),
        versions=tuple(reversed(versions)),
        undo=undo,
        undo_refused=refused,
    )


def find_undo(store: PackageStore, name: str) -> Undo:
    """Raises BadInput, Conflict or NotFound where there is nothing to undo."""
    current = holder(store, name, CHAMPION)
    version = current.version if current else ""
    return Undo(alias=CHAMPION, current=version, target=undone_target(store, name, CHAMPION, version))


class RollbackRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`expected`: the champion that was seen by whoever decided. Another one by now is a conflict."""

    expected: str


@told_without_places()
def roll_back(store: PackageStore, name: str, body: dict[str, object], who: str) -> PromotionEvent:
    """Raises BadInput for a request that does not say what it saw, and as `registry.promotion.rollback`."""
    try:
        wanted = msgspec.convert(body, RollbackRequest)
    except msgspec.ValidationError as error:
        raise BadInput(f'a rollback says which version it found: {{"expected": "3"}}; {error}') from error
    return rollback(store, name, who=who, expected=wanted.expected)
