"""Commands about what is registered: models, promote, rollback, history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from tidegate.options import JsonOption, NameArgument, StoreOption, examples
from tidegate.output import note, print_json, print_table

if TYPE_CHECKING:
    from registry.event import PromotionEvent
    from registry.store import VersionInfo


def register(app: typer.Typer) -> None:
    app.command(epilog=examples("tidegate models", "tidegate models --json | jq '.[].version'"))(models)
    app.command(epilog=examples("tidegate history digits", "tidegate history digits --json"))(history)


def models(as_json: JsonOption = False, store: StoreOption = None) -> None:
    """List every version of every model, with its aliases."""
    from registry.store import open_store

    opened = open_store(store)
    versions = [info for name in opened.names() for info in opened.versions(name)]
    if as_json:
        print_json(versions)
    elif versions:
        print_table(("NAME", "VERSION", "ALIASES", "CREATED", "DIGEST"), [version_row(info) for info in versions])
    else:
        note("no models yet: tidegate train digits-quick makes one")


def version_row(info: VersionInfo) -> tuple[str, ...]:
    return info.name, info.version, ",".join(info.aliases), info.created_at, info.digest[:12]


def history(name: NameArgument, as_json: JsonOption = False, store: StoreOption = None) -> None:
    """List who moved which alias of a model, when, from what to what, and why."""
    from registry.store import open_store

    opened = open_store(store)
    # An unknown name is an error, a model without history is not.
    events = opened.events(name) if opened.versions(name) else []
    if as_json:
        print_json(events)
    elif events:
        columns = ("WHEN", "WHO", "ACTION", "ALIAS", "VERSION", "BEFORE", "GATES", "FORCED BECAUSE")
        print_table(columns, [event_row(event) for event in events])
    else:
        note(f"nothing was promoted of {name} yet")


def event_row(event: PromotionEvent) -> tuple[str, ...]:
    failed = [gate.name for gate in event.gates if not gate.passed]
    gates = f"failed: {', '.join(failed)}" if failed else f"{len(event.gates)} held"
    return (
        event.at,
        event.who,
        event.action,
        event.alias,
        event.version,
        event.previous or "",
        gates,
        event.force_reason,
    )
