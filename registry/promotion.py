"""Promotion: moves the alias that production follows, if every gate holds, and remembers who did it and why.

The event is written before the alias moves, so that no move goes unrecorded; should the process die between the two,
the alias tells what is true and the event is known never to have taken effect.
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
from registry.gates import PromotionPolicy, judge
from registry.lock import hold_lock
from registry.manifest import GateResult
from registry.package import ModelPackage
from registry.reference import CHAMPION, ModelRef, VersionInfo
from registry.store import PackageStore
from tasks.errors import BadInput, Conflict, GateFailed

LOCK_TTL_S = 30.0
"""Reading an alias, writing an event and moving the alias take well under a second, even over HTTP."""
NOBODY = ""
"""The version in an event or a precondition where no version holds the alias."""

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
    meanwhile or somebody else is promoting, NotFound, NotReady.
    """
    candidate = store.resolve(ref)
    before = holder(store, ref.name, alias)
    if expected is None:
        expected = before.version if before else NOBODY
    check_expected(ref.name, alias, expected, before)
    if candidate.version == expected:
        raise Conflict(f"{candidate} holds the alias {alias!r} already; there is nothing to do")
    gates = run_gates(store, candidate, before, cache, policy or PromotionPolicy(), self_test)
    if not all(gate.passed for gate in gates) and not force_reason:
        raise GateFailed(f"{candidate} was not promoted\n{format_gates(gates)}")
    event = new_event("promote", candidate, alias, before, who)
    return move(store, msgspec.structs.replace(event, gates=gates, force_reason=force_reason), expected)


def rollback(
    store: PackageStore, name: str, *, who: str, alias: str = CHAMPION, expected: str | None = None
) -> PromotionEvent:
    """Undo the last promotion that still stands. Undoing the first one leaves the alias with nobody.

    Raises Conflict where the alias was moved by something else, BadInput where there is nothing to undo.
    """
    store.versions(name)  # NotFound for an unknown model, rather than "nothing to undo"
    before = holder(store, name, alias)
    current = before.version if before else NOBODY
    check_expected(name, alias, current if expected is None else expected, before)
    standing = standing_promotions(store.events(name), alias, current)
    if not standing:
        raise BadInput(f"{name!r} has no promotion of {alias!r} to undo")
    if standing[-1].version != current:
        raise Conflict(
            f"{name}@{alias} is version {current or 'nobody'}, but the last promotion made it {standing[-1].version}: "
            "it was moved by something else. Promote the version you want instead"
        )
    target = standing[-1].previous or NOBODY
    found = store.resolve(ModelRef(name=name, version=target)) if target else None
    return move(store, new_event("rollback", found, alias, before, who), current)


def history(store: PackageStore, name: str) -> list[PromotionEvent]:
    """Every event of a model, oldest first. Raises NotFound for a model that is not there."""
    store.versions(name)
    return store.events(name)


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
    champion = store.fetch(before, cache) if before else None
    return judge(package, champion, policy) + (self_test(package) if self_test else ())


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


def move(store: PackageStore, event: PromotionEvent, expected: str) -> PromotionEvent:
    """Under the lock: look again, write the event, move the alias."""
    with hold_lock(store, event.name, event.who, LOCK_TTL_S) as lock:
        check_expected(event.name, event.alias, expected, holder(store, event.name, event.alias))
        lock.check()
        store.append_event(event)
        if event.version:
            store.set_alias(event.name, event.alias, event.version)
        else:
            store.delete_alias(event.name, event.alias)
    return event


def standing_promotions(events: Sequence[PromotionEvent], alias: str, current: str) -> list[PromotionEvent]:
    """Promotions not yet undone, oldest first. A last event that never took effect is left out."""
    relevant = [event for event in events if event.alias == alias]
    if relevant and relevant[-1].version != current and (relevant[-1].previous or NOBODY) == current:
        relevant.pop()
    standing: list[PromotionEvent] = []
    for event in relevant:
        if event.action == "promote":
            standing.append(event)
        elif standing:
            standing.pop()
    return standing


def new_event(
    action: Literal["promote", "rollback"], target: VersionInfo | None, alias: str, before: VersionInfo | None, who: str
) -> PromotionEvent:
    """`target` None: the alias is taken from `before` and given to nobody."""
    named = target or before
    assert named is not None
    return PromotionEvent(
        id=f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}",
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
    width = max(len(gate.name) for gate in rows)
    lines = [
        f"  {'ok  ' if g.passed else 'FAIL'}  {g.name:<{width}}  {g.value:>12.6g}  limit {g.limit:g}" for g in rows
    ]
    return "\n".join(lines)
