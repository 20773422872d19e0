"""Commands about API keys: keys add, keys list, keys revoke."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serving.access.caller import Role
from tidegate.options import JsonOption, examples
from tidegate.output import note, print_json, print_table

ADD_EXAMPLES = examples(
    "tidegate keys add shop --rate 50                     up to 50 requests a second",
    "tidegate keys add operations --role admin",
    "KEY=$(tidegate keys add shop --file /etc/tidegate/keys.toml)",
)
KeyName = Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is; metrics show it.")]
FileOption = Annotated[Path, typer.Option("--file", envvar="TIDEGATE_API_KEYS", metavar="FILE", help="The key file.")]
KEY_FILE = Path("keys.toml")

if TYPE_CHECKING:
    from serving.access.key_file import KeyEntry


def register(app: typer.Typer) -> None:
    keys = typer.Typer(
        help="Say who may ask a server: make, list and revoke API keys.",
        epilog=examples("tidegate keys add shop --rate 50", "tidegate keys list", "tidegate keys revoke shop"),
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    keys.command(epilog=ADD_EXAMPLES)(add)
    keys.command("list", epilog=examples("tidegate keys list", "tidegate keys list --json"))(list_keys)
    keys.command(epilog=examples("tidegate keys revoke shop"))(revoke)
    app.add_typer(keys, name="keys")


def add(
    name: KeyName,
    role: Annotated[Role, typer.Option(help="admin may also administrate.")] = Role.PREDICT,
    rate: Annotated[float | None, typer.Option(metavar="N", help="Requests a second. Default: no limit.")] = None,
    file: FileOption = KEY_FILE,
) -> None:
    """Make a key and print it. Only its hash is kept: nobody can print it again.

    A server that was started with TIDEGATE_API_KEYS=FILE takes it within a second or two.
    """
    from serving.access.key_edits import issue_key

    key = issue_key(file, name, role, rate)
    print(key.text())
    limit = f"{rate:g} requests a second" if rate else "no limit on its rate"
    note(f"key {name} ({role}, {limit}) added to {file}; it is shown this once")


def list_keys(file: FileOption = KEY_FILE, as_json: JsonOption = False) -> None:
    """List the keys of a file by name, without their secrets, which it does not hold."""
    from serving.access.key_file import exposure_of, read_key_file

    entries = read_key_file(file)
    if exposure := exposure_of(file):
        note(f"tidegate: {exposure}")
    if as_json:
        print_json([{"id": key_id} | shown(entry) for key_id, entry in entries.items()])
    elif entries:
        rows = [(*shown(entry).values(), key_id) for key_id, entry in entries.items()]
        print_table(
            ("NAME", "ROLE", "RATE", "CREATED", "ID"), [["-" if cell is None else cell for cell in row] for row in rows]
        )
    else:
        note(f"{file} holds no keys: tidegate keys add NAME --file {file} makes one")


def shown(entry: KeyEntry) -> dict[str, object]:
    """What may be told of a key."""
    return {
        "name": entry.name,
        "role": entry.role,
        "rate": entry.rate,
        "created": entry.created.isoformat(timespec="minutes"),
    }


def revoke(name: KeyName, file: FileOption = KEY_FILE) -> None:
    """Take a key away. A running server refuses it within a second or two."""
    from serving.access.key_edits import revoke_key

    revoke_key(file, name)
    note(f"key {name} revoked in {file}")
