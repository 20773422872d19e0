"""Commands about what is registered: models, promote, rollback, history."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.options import JsonOption, NameArgument, StoreOption, examples
from tidegate.output import note, print_json, print_table

PROMOTE_EXAMPLES = examples(
    "tidegate promote digits",
    "tidegate promote digits/3 --expect 2            only if version 2 is still the champion",
    "tidegate promote digits --alias challenger",
    'tidegate promote digits --force "the old one leaks memory, see the incident of May 3"',
)
AliasOption = Annotated[str, typer.Option(metavar="ALIAS", help="Which alias moves.")]
ExpectOption = Annotated[
    str | None, typer.Option(metavar="VERSION", help='Refuse unless this version holds the alias now ("": nobody).')
]

if TYPE_CHECKING:
    from registry.event import PromotionEvent
    from registry.store import VersionInfo


def register(app: typer.Typer) -> None:
    app.command(epilog=examples("tidegate models", "tidegate models --json | jq '.[].version'"))(models)
    app.command(epilog=PROMOTE_EXAMPLES)(promote)
    app.command(epilog=examples("tidegate rollback digits", "tidegate rollback digits --expect 3"))(rollback)
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


def promote(
    name: Annotated[str, typer.Argument(metavar="NAME[/VERSION | @ALIAS]", help="Default: the newest version.")],
    alias: AliasOption = "champion",
    expect: ExpectOption = None,
    policy: Annotated[Path | None, typer.Option(metavar="FILE", help="Tolerances and budgets in TOML.")] = None,
    force: Annotated[str, typer.Option(metavar="REASON", help="Overrule failed gates; the reason is kept.")] = "",
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Make a version the champion, if every gate holds.

    The gates hold it against the current champion: accuracy, every class, size, speed, golden pictures replayed on this
    machine. A failed gate leaves everything as it was (exit code 4).
    """
    from registry.store import open_store
    from tidegate.promotion import load_policy, promote_model

    event = promote_model(
        open_store(store),
        name,
        alias=alias,
        expected=expect,
        force_reason=force,
        policy=load_policy(policy) if policy else None,
    )
    print_event(event, as_json)


def rollback(
    name: NameArgument,
    alias: AliasOption = "champion",
    expect: ExpectOption = None,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Undo the last promotion: the version before it is the champion again."""
    from registry.promotion import rollback as undo
    from registry.store import open_store
    from tidegate.promotion import person

    print_event(undo(open_store(store), name, who=person(), alias=alias, expected=expect), as_json)


def print_event(event: PromotionEvent, as_json: bool) -> None:
    if as_json:
        print_json(event)
        return
    if event.gates:
        from registry.promotion import format_gates

        print(format_gates(event.gates))
    now = f"version {event.version}" if event.version else "nobody"
    print(f"{event.name}@{event.alias} is {now}, was {event.previous or 'nobody'}")


def version_row(info: VersionInfo) -> tuple[str, ...]:
    return info.name, info.version, ",".join(info.aliases), info.created_at, info.digest[:12]


def history(name: NameArgument, as_json: JsonOption = False, store: StoreOption = None) -> None:
    """List who moved which alias of a model, when, from what to what, and why."""
    from registry import promotion
    from registry.store import open_store

    opened = open_store(store)
    events = promotion.history(opened, name)
    if as_json:
        print_json(events)
    elif events:
        columns = ("WHEN", "WHO", "ACTION", "ALIAS", "VERSION", "BEFORE", "GATES", "FORCED BECAUSE")
        interrupted = promotion.interrupted(opened, name, events)
        print_table(columns, [event_row(event, event.id in interrupted) for event in events])
    else:
        note(f"nothing was promoted of {name} yet")


def event_row(event: PromotionEvent, interrupted: bool) -> tuple[str, ...]:
    failed = [gate.name for gate in event.gates if not gate.passed]
    held = f"{len(event.gates)} held" if event.gates else ""
    gates = f"failed: {', '.join(failed)}" if failed else held
    return (
        event.at,
        event.who,
        f"{event.action} (interrupted)" if interrupted else event.action,
        event.alias,
        event.version,
        event.previous or "",
        gates,
        event.force_reason,
    )
