"""Promotion: moves the alias that production follows, if every gate holds, and remembers who did it and why.

The event is written before the alias moves, so that no move goes unrecorded; should the process die between the two,
the alias tells what is true: every event says what it found, so an event whose successor found the state before it
never took effect.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from registry.event import PromotionEvent
from registry.gates import PromotionPolicy, judge, unreadable_champion_gate
from registry.lock import Lock, hold_lock
from registry.manifest import GateResult
from registry.package import ModelPackage
from registry.reference import CHALLENGER, CHAMPION, ModelRef, VersionInfo, check_alias
from registry.store import PackageStore
from tasks.errors import BadInput, Conflict, GateFailed, InvalidPackage, NotFound

LOCK_TTL_S = 120.0
"""Reading an alias, writing an event and moving the alias take well under a second, even over HTTP; on a machine that
trains beside it they have been seen to take half a minute."""
NOBODY = ""
"""The version in an event or a precondition where no version holds the alias."""
UNWRITTEN = ""
"""The id of an event before its place in the history is known."""

SelfTest = Callable[[ModelPackage], tuple[GateResult, ...]]
"""Replays the golden set where the caller has a runtime (serving.self_test)."""


def promote(
    store: PackageStore,
    ref: ModelRef,
    *,
    cache: Path,
    who: str,
    alias: str = CHAMPION,
    policy: PromotionPolicy | None = None,
    expected: str | None = None,
    force_reason: str = "",
    self_test: SelfTest | None = None,
) -> PromotionEvent:
    """Move `alias` to the version that `ref` means.

    `expected`: the version that must hold the alias now ("" for none); None takes whoever holds it when the gates are
    judged. Raises GateFailed with a table unless `force_reason` says why to go on, Conflict where the alias has moved
    meanwhile or somebody else is promoting, InvalidPackage for a damaged candidate (which no reason makes promotable),
    NotFound, NotReady.
    """
    check_alias(alias, f"{ref.name}@{alias}")
    candidate = store.resolve(ref)
    before = holder(store, ref.name, alias)
    if expected is None:
        expected = before.version if before else NOBODY
    check_expected(ref.name, alias, expected, before)
    if candidate.version == expected:
        raise Conflict(f"{candidate} holds the alias {alias!r} already; there is nothing to do")
    gates = run_gates(store, candidate, before, cache, policy or PromotionPolicy(), self_test)
    held = all(gate.passed for gate in gates)
    if not held and not force_reason.strip():
        raise GateFailed(f"{candidate} was not promoted\n{format_gates(gates)}")
    event = new_event("promote", candidate, alias, before, who)
    overruled = "" if held else force_reason.strip()
    with hold_lock(store, ref.name, who, LOCK_TTL_S) as lock:
        check_expected(ref.name, alias, expected, holder(store, ref.name, alias))
        return move(store, msgspec.structs.replace(event, gates=gates, force_reason=overruled), lock)


def nominate(
    store: PackageStore,
    ref: ModelRef,
    *,
    cache: Path,
    who: str,
    policy: PromotionPolicy | None = None,
    self_test: SelfTest | None = None,
) -> PromotionEvent:
    """Make a version the challenger, whatever its gates say: they are judged against the champion, as they will be when
    it is to take its place, and kept with the event.

    Raises Conflict where it is the challenger already or somebody else is promoting, NotFound, NotReady, InvalidPackage
    for a damaged candidate.
    """
    candidate = store.resolve(ref)
    gates = run_gates(
        store, candidate, holder(store, ref.name, CHAMPION), cache, policy or PromotionPolicy(), self_test
    )
    with hold_lock(store, ref.name, who, LOCK_TTL_S) as lock:
        before = holder(store, ref.name, CHALLENGER)
        if before is not None and before.version == candidate.version:
            raise Conflict(f"{candidate} is the challenger already; there is nothing to do")
        event = new_event("promote", candidate, CHALLENGER, before, who)
        return move(store, msgspec.structs.replace(event, gates=gates), lock)


def rollback(
    store: PackageStore, name: str, *, who: str, alias: str = CHAMPION, expected: str | None = None
) -> PromotionEvent:
    """Undo the last promotion that still stands. Undoing the first one leaves the alias with nobody.

    Raises Conflict where the alias was moved by something else or the version to go back to is another one by now,
    BadInput where there is nothing to undo, NotFound where the version to go back to was deleted.
    """
    check_alias(alias, f"{name}@{alias}")
    seen = holder(store, name, alias)
    current = seen.version if seen else NOBODY
    check_expected(name, alias, current if expected is None else expected, seen)
    # Of two who undo the same promotion at once the second must not undo the one before it: what was seen outside the
    # lock must still be true inside.
    with hold_lock(store, name, who, LOCK_TTL_S) as lock:
        before = holder(store, name, alias)
        check_expected(name, alias, current, before)
        target = undone_target(store, name, alias, current)
        return move(store, new_event("rollback", target, alias, before, who), lock)


def undone_target(store: PackageStore, name: str, alias: str, current: str) -> VersionInfo | None:
    """The version that held the alias before the last promotion that stands; None for nobody."""
    events = store.events(name)
    standing = standing_promotions(events, alias, current)
    if not standing:
        raise BadInput(f"{name!r} has no promotion of {alias!r} to undo")
    if standing[-1].version != current:
        raise Conflict(
            f"{name}@{alias} is version {current or 'nobody'}, but the last promotion made it {standing[-1].version}: "
            "it was moved by something else. Promote the version you want instead"
        )
    if not standing[-1].previous:
        return None
    target = store.resolve(ModelRef(name=name, version=standing[-1].previous))
    known = next((event.digest for event in reversed(events) if event.version == target.version), target.digest)
    if known != target.digest:
        raise Conflict(
            f"{target} is not the package that was {alias} before (digest {target.digest[:12]}…, then {known[:12]}…): "
            "promote the version you want instead, through the gates"
        )
    return target


def history(store: PackageStore, name: str) -> list[PromotionEvent]:
    """Every event of a model, oldest first. Raises NotFound for a model that is not there."""
    store.versions(name)
    return store.events(name)


def interrupted(store: PackageStore, name: str, events: Sequence[PromotionEvent]) -> frozenset[str]:
    """The ids of those among all `events` of a model that never moved their alias."""
    held = {alias: info.version for info in store.versions(name) for alias in info.aliases}
    aliases = {event.alias for event in events}
    moved = {event.id for alias in aliases for event in effective(events, alias, held.get(alias, NOBODY))}
    return frozenset(event.id for event in events if event.id not in moved)


def run_gates(
    store: PackageStore,
    candidate: VersionInfo,
    before: VersionInfo | None,
    cache: Path,
    policy: PromotionPolicy,
    self_test: SelfTest | None,
) -> tuple[GateResult, ...]:
    """The gates of the packages' own evidence, then those that run the model."""
    package = store.fetch(candidate, cache)
    gates: tuple[GateResult, ...] = ()
    champion = None
    try:
        champion = store.fetch(before, cache) if before else None
    except (InvalidPackage, NotFound) as error:
        gates = (unreadable_champion_gate(error),)
    return gates + judge(package, champion, policy) + (self_test(package) if self_test else ())


def holder(store: PackageStore, name: str, alias: str) -> VersionInfo | None:
    """The version that an alias points to. Raises NotFound for an unknown model only."""
    return next((info for info in store.versions(name) if alias in info.aliases), None)


def check_expected(name: str, alias: str, expected: str, found: VersionInfo | None) -> None:
    version = found.version if found else NOBODY
    if version != expected:
        raise Conflict(
            f"{name}@{alias} was expected to be {expected or 'nobody'} and is {version or 'nobody'}; nothing was "
            "changed: look at the new champion and decide again"
        )


def move(store: PackageStore, event: PromotionEvent, lock: Lock) -> PromotionEvent:
    """Under the lock: write the event, move the alias."""
    event = msgspec.structs.replace(event, id=next_event_id(store.events(event.name)))
    lock.check()
    store.append_event(event)
    lock.check()
    if event.version:
        store.set_alias(event.name, event.alias, event.version)
    else:
        store.delete_alias(event.name, event.alias)
    return event


def next_event_id(events: Sequence[PromotionEvent]) -> str:
    """Sorts after every event there is, even one written by a machine whose clock is ahead."""
    newest = max((int(event.id.partition("-")[0]) for event in events), default=0)
    return f"{max(time.time_ns(), newest + 1):020d}-{uuid.uuid4().hex[:8]}"


def effective(events: Sequence[PromotionEvent], alias: str, current: str) -> list[PromotionEvent]:
    """The events that moved `alias`, oldest first, without those that were interrupted before they did.

    `current`: the version that holds the alias now, or NOBODY.
    """
    relevant = [event for event in events if event.alias == alias]
    found_after = [*(event.previous or NOBODY for event in relevant[1:]), current]
    return [
        event
        for event, after in zip(relevant, found_after, strict=False)  # without events there is no "after" either
        if after == event.version or after != (event.previous or NOBODY)
    ]


def standing_promotions(events: Sequence[PromotionEvent], alias: str, current: str) -> list[PromotionEvent]:
    """Promotions that took effect and were not undone, oldest first."""
    standing: list[PromotionEvent] = []
    for event in effective(events, alias, current):
        if event.action == "promote":
            standing.append(event)
        elif standing:
            standing.pop()
    return standing


def new_event(
    action: Literal["promote", "rollback"], target: VersionInfo | None, alias: str, before: VersionInfo | None, who: str
) -> PromotionEvent:
    """An event that `move` will number. `target` None: the alias is taken from `before` and given to nobody."""
    named = target or before
    assert named is not None
    return PromotionEvent(
        id=UNWRITTEN,
        action=action,
        name=named.name,
        alias=alias,
        version=target.version if target else NOBODY,
        digest=target.digest if target else "",
        previous=before.version if before else None,
        who=who,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def format_gates(gates: Sequence[GateResult]) -> str:
    """One line a gate, those that failed first."""
    rows = sorted(gates, key=lambda gate: gate.passed)
    width = max((len(gate.name) for gate in rows), default=0)
    lines = [
        f"  {'ok  ' if g.passed else 'FAIL'}  {g.name:<{width}}  {g.value:>12.6g}  limit {g.limit:<10g}  {g.detail}"
        for g in rows
    ]
    return "\n".join(line.rstrip() for line in lines)
