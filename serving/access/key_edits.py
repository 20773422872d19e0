"""What an administrator does to a key file: issue a key, revoke one. A running server follows within a second."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from serving.access.api_key import ApiKey, new_key
from serving.access.caller import Role
from serving.access.key_file import MAX_RATE, KeyEntry, edit_key_file, read_key_file
from tasks.errors import BadInput, Conflict, NotFound


def issue_key(path: Path, name: str, role: Role, rate: float | None) -> ApiKey:
    """A new key under a new name; the file is made if there is none. What is returned is kept nowhere.

    Raises BadInput for a name or rate that can not be, Conflict for a name that is taken, InvalidRecipe for a bad file.
    """
    key = new_key()
    facts = {"name": name, "role": role, "sha256": key.digest().hex(), "rate": rate}
    try:
        entry = msgspec.convert(facts | {"created": datetime.now(UTC).replace(microsecond=0)}, KeyEntry)
    except msgspec.ValidationError as error:
        raise BadInput(
            "a key has a name of letters, digits, dots, underscores and dashes, and a rate above 0 and up to "
            f"{MAX_RATE:,} requests a second; asked for: {name!r}" + ("" if rate is None else f", rate {rate:g}")
        ) from error
    with edit_key_file(path) as entries:
        if any(known.name == name for known in entries.values()):
            raise Conflict(f"{path} has a key {name!r} already: revoke it first, or choose another name")
        entries[key.id] = entry
    return key


def revoke_key(path: Path, name: str) -> None:
    """Nobody gets in with this key any more. Raises NotFound, or InvalidRecipe for a bad or missing file."""
    read_key_file(path)  # a missing file is an error here, and is not made
    with edit_key_file(path) as entries:
        found = [key_id for key_id, entry in entries.items() if entry.name == name]
        if not found:
            known = ", ".join(sorted(entry.name for entry in entries.values())) or "none"
            raise NotFound(f"{path} has no key {name!r}; there are: {known}")
        del entries[found[0]]
